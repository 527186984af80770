//! Session tickets: a client that comes back presents what the server had encrypted for it, and both skip the
//! certificate and its signature. The server keeps nothing but the keys.

use super::TlsError;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

/// The length of a key's name, with which its tickets begin.
const NAME: usize = 16;

/// The length of a secret: the name of the key, and the key.
const SECRET: usize = NAME + 32;

/// The longest ticket that is decrypted. A session has two names of up to 255 bytes and some small fields.
const LONGEST: usize = 1 << 10;

type Secret = [u8; SECRET];

/// The keys with which session tickets are encrypted: the current one, and its predecessor, whose tickets are
/// still accepted.
///
/// A [`TlsConfig`](super::TlsConfig) has keys of its own, and replaces them in time. A server that consists of
/// several processes shares its keys among them, so that a session can be resumed by any of them:
/// [`TlsConfig::ticket_keys`](super::TlsConfig::ticket_keys). One process then has to replace them every
/// [`ROTATION`](Self::ROTATION).
///
/// Whoever has the keys can decrypt all that was sent in TLS 1.2 sessions with tickets of these keys, and can
/// impersonate their clients. There is no `Debug` output of them.
///
/// ```
/// use evconn::TicketKeys;
///
/// let keys = TicketKeys::generate()?;
/// // In another process, which has received the bytes.
/// let same = TicketKeys::from_bytes(&keys.to_bytes());
/// assert!(same.is_some());
/// // Some hours later.
/// let keys = keys.rotated()?;
/// # Ok::<(), evconn::TlsError>(())
/// ```
#[derive(Clone)]
pub struct TicketKeys {
    current: Secret,
    previous: Secret,
}

impl TicketKeys {
    /// How long a key is used for new tickets: 6 hours. Its tickets are accepted for as long again.
    pub const ROTATION: Duration = Duration::from_secs(6 * 60 * 60);

    /// Generates random keys.
    ///
    /// # Errors
    /// [`TlsError::NoRandomness`] if the operating system provides no random numbers.
    pub fn generate() -> Result<Self, TlsError> {
        Ok(Self {
            current: random()?,
            previous: random()?,
        })
    }

    /// Returns a new key with the current one as its predecessor. The old predecessor is forgotten.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn rotated(&self) -> Result<Self, TlsError> {
        Ok(Self {
            current: random()?,
            previous: self.current,
        })
    }

    /// Returns the bytes for another process. They are a secret.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.current, self.previous].concat()
    }

    /// Returns the keys that [`to_bytes`](Self::to_bytes) has written, or None if the length is another one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (current, previous) = bytes.split_at_checked(SECRET)?;
        Some(Self {
            current: current.try_into().ok()?,
            previous: previous.try_into().ok()?,
        })
    }
}

/// Shows no part of the keys.
impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKeys").finish_non_exhaustive()
    }
}

fn random<const N: usize>() -> Result<[u8; N], TlsError> {
    let mut bytes = [0; N];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(TlsError::NoRandomness),
    }
}

/// Encrypts and decrypts tickets.
pub(super) struct Tickets(RwLock<State>);

struct State {
    keys: TicketKeys,
    ciphers: [Cipher; 2],
    /// When the keys were replaced last, if this process replaces them itself.
    rotated: Option<Instant>,
}

impl Tickets {
    /// Replaces the keys in time.
    pub fn rotating(keys: TicketKeys, now: Instant) -> Arc<Self> {
        Arc::new(Self(RwLock::new(State::new(keys, Some(now)))))
    }

    /// Uses these keys until it gets others.
    pub fn set(&self, keys: TicketKeys) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *state = State::new(keys, None);
    }

    fn read(&self, now: Instant) -> RwLockReadGuard<'_, State> {
        let is_due = self.state().is_due(now);
        if is_due {
            let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
            state.rotate(now);
        }
        self.state()
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        // It is only ever replaced as a whole.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn encrypt_at(&self, message: &[u8], now: Instant) -> Option<Vec<u8>> {
        self.read(now).ciphers[0].seal(message)
    }

    fn decrypt_at(&self, ticket: &[u8], now: Instant) -> Option<Vec<u8>> {
        let (name, sealed) = ticket.split_at_checked(NAME)?;
        let state = self.read(now);
        // The name is not a secret: each ticket contains it.
        let cipher = state.ciphers.iter().find(|cipher| cipher.name == name)?;
        cipher.open(sealed)
    }
}

impl State {
    fn new(keys: TicketKeys, rotated: Option<Instant>) -> Self {
        let ciphers = [&keys.current, &keys.previous].map(Cipher::new);
        Self {
            keys,
            ciphers,
            rotated,
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        let passed = self.rotated.map(|then| now.saturating_duration_since(then));
        passed.is_some_and(|passed| passed >= TicketKeys::ROTATION)
    }

    /// Replaces the keys if it is time: both of them if the process has not used them for as long.
    fn rotate(&mut self, now: Instant) {
        let Some(then) = self.rotated.filter(|_| self.is_due(now)) else {
            return;
        };
        let next = match now - then < 2 * TicketKeys::ROTATION {
            true => self.keys.rotated(),
            false => TicketKeys::generate(),
        };
        match next {
            Ok(keys) => *self = Self::new(keys, Some(now)),
            // It is tried again at the next ticket.
            Err(error) => tracing::debug!("the keys of session tickets stay: {error}"),
        }
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        // A ticket is accepted for at least the first half of it.
        u32::try_from(2 * TicketKeys::ROTATION.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.encrypt_at(message, Instant::now())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.decrypt_at(ticket, Instant::now())
    }
}

/// Shows no part of the keys.
impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

/// Issues no tickets, and accepts none.
#[derive(Debug)]
pub(super) struct NoTickets;

impl ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _message: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _ticket: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// A key that is ready for use. A ticket is the key's name, a nonce, and the encrypted session with its tag.
struct Cipher {
    name: [u8; NAME],
    key: LessSafeKey,
}

impl Cipher {
    fn new(secret: &Secret) -> Self {
        let (name, key) = secret.split_at(NAME);
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("a key of 32 bytes");
        Self {
            name: name.try_into().expect("a name of 16 bytes"),
            key: LessSafeKey::new(key),
        }
    }

    fn seal(&self, message: &[u8]) -> Option<Vec<u8>> {
        // Random, since several processes use the key. A key seals far fewer than 2^32 tickets, up to which
        // the nonces differ almost certainly.
        let nonce: [u8; NONCE_LEN] = random().ok()?;
        let mut sealed = message.to_vec();
        let (nonce_used, name) = (Nonce::assume_unique_for_key(nonce), Aad::from(self.name));
        let done = self
            .key
            .seal_in_place_append_tag(nonce_used, name, &mut sealed);
        done.ok()?;
        Some([&self.name[..], &nonce, &sealed].concat())
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        if sealed.len() > LONGEST {
            return None;
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut message = sealed.to_vec();
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(self.name), &mut message);
        let length = opened.ok()?.len();
        message.truncate(length);
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"a session";

    fn tickets(now: Instant) -> Arc<Tickets> {
        Tickets::rotating(TicketKeys::generate().expect("keys"), now)
    }

    fn hours(count: u32) -> Duration {
        Duration::from_secs(60 * 60) * count
    }

    #[test]
    fn a_ticket_is_accepted_for_one_rotation_more_than_its_key_is_used() {
        let start = Instant::now();
        let tickets = tickets(start);
        let ticket = tickets.encrypt_at(MESSAGE, start).expect("sealed");
        for (age, accepted) in [(0, true), (5, true), (7, true), (11, true), (13, false)] {
            let opened = tickets.decrypt_at(&ticket, start + hours(age));
            assert_eq!(opened.as_deref(), accepted.then_some(MESSAGE), "{age}");
        }
    }

    #[test]
    fn a_ticket_is_too_old_even_if_nobody_came_meanwhile() {
        let start = Instant::now();
        let tickets = tickets(start);
        let ticket = tickets.encrypt_at(MESSAGE, start).expect("sealed");
        assert_eq!(tickets.decrypt_at(&ticket, start + hours(20)), None);
    }

    #[test]
    fn processes_with_the_same_keys_accept_each_others_tickets() {
        let keys = TicketKeys::generate().expect("keys");
        let now = Instant::now();
        let (one, other) = (tickets(now), tickets(now));
        one.set(keys.clone());
        let ticket = one.encrypt(MESSAGE).expect("sealed");
        assert_eq!(other.decrypt(&ticket), None);
        other.set(TicketKeys::from_bytes(&keys.to_bytes()).expect("as long as written"));
        assert_eq!(other.decrypt(&ticket).as_deref(), Some(MESSAGE));
        // Whoever has got the next key already accepts it, too.
        let next = keys.rotated().expect("keys");
        other.set(next.clone());
        assert_eq!(other.decrypt(&ticket).as_deref(), Some(MESSAGE));
        other.set(next.rotated().expect("keys"));
        assert_eq!(other.decrypt(&ticket), None);
    }

    #[test]
    fn keys_from_outside_are_not_replaced_in_time() {
        let now = Instant::now();
        let tickets = tickets(now);
        tickets.set(TicketKeys::generate().expect("keys"));
        let ticket = tickets.encrypt_at(MESSAGE, now).expect("sealed");
        let opened = tickets.decrypt_at(&ticket, now + hours(100));
        assert_eq!(opened.as_deref(), Some(MESSAGE));
    }

    #[test]
    fn a_forged_ticket_is_none() {
        let tickets = tickets(Instant::now());
        let ticket = tickets.encrypt(MESSAGE).expect("sealed");
        for at in 0..ticket.len() {
            let mut forged = ticket.clone();
            forged[at] ^= 1;
            assert_eq!(tickets.decrypt(&forged), None, "byte {at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None, "{at} bytes");
        }
        let long = tickets.encrypt(&[0; 2 * LONGEST]).expect("sealed");
        assert_eq!(tickets.decrypt(&long), None);
    }

    #[test]
    fn bytes_of_another_length_are_no_keys() {
        let bytes = TicketKeys::generate().expect("keys").to_bytes();
        assert!(TicketKeys::from_bytes(&bytes[1..]).is_none());
        assert!(TicketKeys::from_bytes(&[&bytes[..], &[0]].concat()).is_none());
        assert!(TicketKeys::from_bytes(&[]).is_none());
    }

    #[test]
    fn nothing_shows_the_keys() {
        let keys = TicketKeys::generate().expect("keys");
        assert_eq!(format!("{keys:?}"), "TicketKeys { .. }");
        assert_eq!(format!("{:?}", tickets(Instant::now())), "Tickets { .. }");
    }
}
