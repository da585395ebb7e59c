//! The credentials of the instance's own role, to be known again.

use super::secret_fingerprint;
use crate::secret::{Credentials, Secret};

/// What tells the credentials that the role gives out now. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleKey {
    pub access_key_id: String,
    /// The fingerprint of the session token.
    session_token: Option<String>,
}

impl RoleKey {
    pub fn of(credentials: &Credentials) -> Self {
        Self {
            access_key_id: credentials.access_key_id.clone(),
            session_token: credentials.session_token.as_ref().map(fingerprint),
        }
    }

    /// Whether this is the role's session token.
    pub fn has_token(&self, token: &Secret) -> bool {
        self.session_token.as_ref() == Some(&fingerprint(token))
    }
}

/// Of a token, whether it is written with its padding or not.
fn fingerprint(token: &Secret) -> String {
    let token = token.expose();
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    secret_fingerprint(&Secret::new(&token[..token.len() - padding]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_with_its_padding_and_without() {
        let key = RoleKey::of(&Credentials {
            access_key_id: "id".into(),
            secret_access_key: Secret::new("secret"),
            session_token: Some(Secret::new("token==")),
        });
        assert!(key.has_token(&Secret::new("token==")));
        assert!(key.has_token(&Secret::new("token")));
        assert!(!key.has_token(&Secret::new("tokens")));
        assert!(!format!("{key:?}").contains("token=="));
    }
}
