//! Certificates for `localhost`, made on the spot.

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A certificate and its key in files, which go with it.
pub struct Certificate {
    directory: PathBuf,
}

impl Certificate {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Tests run in parallel, and several test runs may, too.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("certificate-{}-{number}", std::process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir(&directory).expect("a directory");
        let certificate = Self { directory };
        certificate.renew();
        certificate
    }

    /// One that expired at the end of February 2020.
    pub fn expired() -> Self {
        let certificate = Self::new();
        certificate.make(|params| {
            params.not_before = date_time_ymd(2019, 2, 28);
            params.not_after = date_time_ymd(2020, 2, 29);
        });
        certificate
    }

    /// Another certificate with another key, in the same files.
    pub fn renew(&self) {
        self.make(|_| {});
    }

    fn make(&self, change: impl FnOnce(&mut CertificateParams)) {
        let key = KeyPair::generate().expect("a key");
        let names = vec!["localhost".to_owned()];
        let mut params = CertificateParams::new(names).expect("a name");
        change(&mut params);
        let certificate = params.self_signed(&key).expect("signed");
        std::fs::write(self.cert(), certificate.pem()).expect("written");
        std::fs::write(self.key(), key.serialize_pem()).expect("written");
    }

    /// The file of the certificate.
    pub fn cert(&self) -> String {
        self.file("cert.pem")
    }

    /// The file of the key.
    pub fn key(&self) -> String {
        self.file("key.pem")
    }

    /// Another file, which goes with them.
    pub fn file(&self, name: &str) -> String {
        let path = self.directory.join(name);
        path.to_str().expect("a path of characters").to_owned()
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        // What is left then is in the build's directory for such things.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
