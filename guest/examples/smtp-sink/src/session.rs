//! The commands of RFC 5321 and their replies.
//!
//! Out of scope: reading and writing. After a reply with code 354, the caller reads a message; after one with
//! code 221, the session is over.

/// The maximum size of a message, in bytes.
pub const MAX_MESSAGE: u64 = 10 << 20;

const MAX_RECIPIENTS: usize = 100;

const OK: &str = "250 OK";
const TOO_BIG: &str = "552 the message is too big";

#[derive(Default)]
pub struct Session {
    has_greeted: bool,
    mail: Option<Mail>,
}

/// The sender and the recipients of the next message.
struct Mail {
    sender: String,
    recipients: Vec<String>,
}

impl Session {
    /// Executes a command, and returns the reply, which may have several lines. The last line has no end.
    pub fn command(&mut self, line: &str) -> String {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        let reply = match (&verb.to_ascii_uppercase()[..], argument.trim()) {
            ("EHLO" | "HELO", "") => "501 it takes your name",
            ("EHLO", _) => {
                self.greet();
                let size = MAX_MESSAGE;
                return format!(
                    "250-localhost\r\n250-SIZE {size}\r\n250-8BITMIME\r\n250 PIPELINING"
                );
            }
            ("HELO", _) => self.greet(),
            ("MAIL", argument) => self.mail(argument),
            ("RCPT", argument) => self.recipient(argument),
            ("DATA", "") => self.data(),
            ("RSET", "") => self.reset(),
            ("QUIT", "") => "221 goodbye",
            ("DATA" | "RSET" | "QUIT", _) => "501 it takes no argument",
            ("NOOP", _) => OK,
            ("VRFY", "") => "501 it takes an address",
            ("VRFY", _) => "252 every address is taken",
            ("EXPN" | "HELP", _) => "502 not here",
            _ => "500 there is no such command",
        };
        reply.to_owned()
    }

    /// Accepts a message of `size` bytes. Returns a description of it, or an error reply.
    pub fn message(&mut self, size: u64) -> Result<String, &'static str> {
        let mail = self.mail.take().ok_or("503 no mail was announced")?;
        if size > MAX_MESSAGE {
            return Err(TOO_BIG);
        }
        Ok(format!(
            "{size} bytes from {:?} to {:?}",
            mail.sender, mail.recipients
        ))
    }

    fn greet(&mut self) -> &'static str {
        self.has_greeted = true;
        self.mail = None;
        "250 localhost"
    }

    fn reset(&mut self) -> &'static str {
        self.mail = None;
        OK
    }

    fn mail(&mut self, argument: &str) -> &'static str {
        if !self.has_greeted {
            return "503 EHLO comes first";
        }
        if self.mail.is_some() {
            return "503 there is a sender already";
        }
        let Some((sender, parameters)) = path(argument, "FROM:") else {
            return "501 it is MAIL FROM:<address>";
        };
        for parameter in parameters.split_whitespace() {
            match parameter.to_ascii_uppercase().split_once('=') {
                Some(("SIZE", size)) => match size.parse::<u64>() {
                    Ok(size) if size <= MAX_MESSAGE => {}
                    Ok(_) => return TOO_BIG,
                    Err(_) => return "501 the size is a number of bytes",
                },
                Some(("BODY", "7BIT" | "8BITMIME")) => {}
                _ => return "555 there is no such parameter",
            }
        }
        self.mail = Some(Mail {
            sender: sender.to_owned(),
            recipients: Vec::new(),
        });
        OK
    }

    fn recipient(&mut self, argument: &str) -> &'static str {
        let Some(mail) = &mut self.mail else {
            return "503 MAIL comes first";
        };
        match path(argument, "TO:") {
            Some(("", _)) | None => "501 it is RCPT TO:<address>",
            Some((_, parameters)) if !parameters.trim().is_empty() => {
                "555 there is no such parameter"
            }
            Some(_) if mail.recipients.len() == MAX_RECIPIENTS => "452 too many recipients",
            Some((recipient, _)) => {
                mail.recipients.push(recipient.to_owned());
                OK
            }
        }
    }

    fn data(&self) -> &'static str {
        match &self.mail {
            None => "503 MAIL comes first",
            Some(mail) if mail.recipients.is_empty() => "503 RCPT comes first",
            Some(_) => "354 go on; a line with a dot ends it",
        }
    }
}

/// Returns the address and the parameters of `FROM:<address> parameters`.
fn path<'a>(argument: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (start, rest) = argument.split_at_checked(keyword.len())?;
    let is_it = start.eq_ignore_ascii_case(keyword);
    rest.trim_start()
        .strip_prefix('<')?
        .split_once('>')
        .filter(|_| is_it)
}
