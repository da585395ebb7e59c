//! What a scan of one blob comes to: sightings and pairs become matches, each
//! with a rule and a confidence.

use std::collections::HashSet;

use super::encoding::Encoding;
use super::sighting::{IdSighting, Named, Pair, Place, SecretSighting, Sightings, Standalone};
use crate::finding::{AccessKeyId, Confidence, Mention, Rule, Structure};
use crate::secret::Secret;

/// One credential in one blob.
#[derive(Debug, Clone)]
pub struct Match {
    pub rule: Rule,
    pub confidence: Confidence,
    pub access_key_id: Option<AccessKeyId>,
    pub account_id: Option<String>,
    pub secret: Option<Secret>,
    /// Of temporary credentials, where it is plain that it is theirs.
    pub session_token: Option<Secret>,
    /// The key does not expire by itself.
    pub long_term: bool,
    /// An ID that is only spoken of.
    pub mention: Option<Mention>,
    /// From 1; `None` far inside a binary blob.
    pub line: Option<u64>,
    /// From 1, in bytes.
    pub column: Option<u64>,
    /// The same in characters; unknown where the line began long before.
    pub character: Option<u64>,
    /// Outermost first.
    pub encoding: Vec<Encoding>,
    /// How often the credential stands in the blob.
    pub occurrences: u64,
}

/// All credentials of one blob.
#[derive(Debug, Default)]
pub struct Detection {
    pub matches: Vec<Match>,
    /// Sightings beyond the limits for one blob, counted only.
    pub excess: u64,
    /// Encoded texts that were not looked into, or not to their end, because
    /// decoding them would have cost more than any honest file does.
    pub undecoded: u64,
}

impl Detection {
    /// Whether there is nothing to tell of the blob.
    pub fn is_empty(&self) -> bool {
        self.matches.is_empty() && self.excess == 0 && self.undecoded == 0
    }
}

/// A value without a name this far from its ID is paired with less certainty.
const NEAR: u64 = 1024;

pub(super) fn conclude(mut sightings: Sightings) -> Detection {
    let mut matches = Vec::new();
    let mut told: HashSet<AccessKeyId> = HashSet::new();
    let mut told_pairs = HashSet::new();

    let tokens = take_tokens(&mut sightings);
    // The first of several places is told.
    let mut pairs = std::mem::take(&mut sightings.pairs);
    pairs.sort_by_key(|pair| pair.id.place.offset);
    for pair in pairs {
        told.insert(pair.id.id);
        let fingerprint = crate::finding::secret_fingerprint(&pair.secret.value);
        if told_pairs.insert((pair.id.id, fingerprint)) {
            matches.push(of_pair(pair, &sightings));
        }
    }
    if let ([token], [pair]) = (&of_different_values(&tokens)[..], &mut matches[..])
        && pair.rule == Rule::TemporaryCredentials
    {
        pair.session_token = Some(padded(&token.value));
    }
    // An ID that is kept somewhere is not excused by where it is spoken of.
    let (mentions, kept): (Vec<_>, Vec<_>) =
        sightings.ids.iter().partition(|id| id.mention.is_some());
    for id in kept.into_iter().chain(mentions) {
        if told.insert(id.id) {
            matches.push(of_id(id, &sightings, !tokens.is_empty()));
        }
    }
    let temporary = matches
        .iter()
        .any(|found| found.rule == Rule::TemporaryCredentials);
    if !temporary {
        matches.extend(distinct(tokens).into_iter().map(of_standalone));
    }
    // Seen once more in another encoding, a secret is no other credential.
    let mut secrets = std::mem::take(&mut sightings.secrets);
    secrets.retain(|secret| {
        let known = |found: &Match| found.secret.as_ref() == Some(&secret.value);
        !matches.iter().any(known)
    });
    matches.extend(lone_secrets(secrets));
    matches.extend(
        distinct(sightings.standalone)
            .into_iter()
            .map(of_standalone),
    );
    matches.sort_by_key(|found| (found.line, found.column));
    Detection {
        matches,
        excess: sightings.excess,
        undecoded: sightings.undecoded,
    }
}

fn take_tokens(sightings: &mut Sightings) -> Vec<Standalone> {
    let (tokens, rest) = std::mem::take(&mut sightings.standalone)
        .into_iter()
        .partition(|found| found.rule == Rule::TemporaryCredentials);
    sightings.standalone = rest;
    tokens
}

/// A token as it signs: it is base64, and may be written without its padding.
fn padded(token: &Secret) -> Secret {
    let token = token.expose();
    let mut whole = Vec::with_capacity(token.len().next_multiple_of(4));
    whole.extend_from_slice(token);
    whole.resize(token.len().next_multiple_of(4), b'=');
    Secret::new(whole)
}

fn of_different_values(tokens: &[Standalone]) -> Vec<&Standalone> {
    let mut different: Vec<&Standalone> = Vec::new();
    for token in tokens {
        if different.iter().all(|known| known.value != token.value) {
            different.push(token);
        }
    }
    different
}

fn of_pair(pair: Pair, sightings: &Sightings) -> Match {
    let Pair {
        id, secret, gap, ..
    } = pair;
    let issued = id.id.structure() != Structure::Unissued;
    let close = secret.named != Named::No || gap <= NEAR;
    let confidence = match (issued, close) {
        (true, true) => Confidence::High,
        (false, false) => Confidence::Low,
        _ => Confidence::Medium,
    };
    let rule = if !id.id.is_long_term() {
        Rule::TemporaryCredentials
    } else if secret.smtp {
        Rule::SesSmtpCredentials
    } else {
        Rule::AccessKeyPair
    };
    Match {
        rule,
        confidence,
        secret: Some(secret.value),
        ..base(id.place.clone(), &id, sightings)
    }
}

fn of_id(id: &IdSighting, sightings: &Sightings, with_token: bool) -> Match {
    let temporary = !id.id.is_long_term() && with_token && id.mention.is_none();
    let confidence = match (id.id.structure(), id.glued) {
        (Structure::Unissued, _) => Confidence::Low,
        (_, true) => Confidence::Medium,
        _ => Confidence::High,
    };
    Match {
        rule: if temporary {
            Rule::TemporaryCredentials
        } else {
            Rule::AccessKeyIdAlone
        },
        confidence,
        mention: id.mention,
        ..base(id.place.clone(), id, sightings)
    }
}

fn base(place: Place, id: &IdSighting, sightings: &Sightings) -> Match {
    let position = place.position.unwrap_or_default();
    Match {
        rule: Rule::AccessKeyIdAlone,
        confidence: Confidence::Low,
        account_id: id.id.account_id(),
        secret: None,
        session_token: None,
        long_term: id.id.is_long_term(),
        mention: None,
        line: position.line,
        column: position.column,
        character: position.character,
        encoding: place.encoding,
        occurrences: sightings.seen.get(&id.id).map_or(1, |seen| seen.count),
        access_key_id: Some(id.id),
    }
}

/// Secrets that their name alone gives away, each once.
fn lone_secrets(secrets: Vec<SecretSighting>) -> Vec<Match> {
    let mut matches: Vec<Match> = Vec::new();
    for sighting in secrets {
        let confidence = match sighting.named {
            Named::No => continue,
            Named::Loosely => Confidence::Low,
            Named::Exactly => Confidence::High,
        };
        let known = matches
            .iter_mut()
            .find(|found| found.secret.as_ref() == Some(&sighting.value));
        if let Some(known) = known {
            known.occurrences += 1;
            known.confidence = known.confidence.max(confidence);
            continue;
        }
        let position = sighting.place.position.unwrap_or_default();
        matches.push(Match {
            rule: Rule::SecretAccessKey,
            confidence,
            access_key_id: None,
            account_id: None,
            secret: Some(sighting.value),
            session_token: None,
            long_term: true,
            mention: None,
            line: position.line,
            column: position.column,
            character: position.character,
            encoding: sighting.place.encoding,
            occurrences: 1,
        });
    }
    matches
}

fn distinct(found: Vec<Standalone>) -> Vec<(Standalone, u64)> {
    let mut distinct: Vec<(Standalone, u64)> = Vec::new();
    for one in found {
        match distinct
            .iter_mut()
            .find(|(known, _)| known.value == one.value)
        {
            Some((_, count)) => *count += 1,
            None => distinct.push((one, 1)),
        }
    }
    distinct
}

fn of_standalone((found, occurrences): (Standalone, u64)) -> Match {
    let position = found.place.position.unwrap_or_default();
    Match {
        rule: found.rule,
        confidence: if found.rule == Rule::BedrockApiKey {
            Confidence::High
        } else {
            // A token alone may stem from a form that stores the rest apart.
            Confidence::Medium
        },
        access_key_id: None,
        account_id: found.account_id,
        secret: Some(found.value),
        session_token: None,
        long_term: found.long_term,
        mention: None,
        line: position.line,
        column: position.column,
        character: position.character,
        encoding: found.place.encoding,
        occurrences,
    }
}

#[cfg(test)]
mod tests {
    use crate::detect::Detector;

    #[test]
    fn a_session_token_goes_with_temporary_credentials_where_there_is_one_of_each() {
        // Made here, so that no scanner takes them for real ones.
        let mut rng = fastrand::Rng::with_seed(4);
        let mut pick = |alphabet: &[u8], count: usize| -> String {
            let pick = |_| char::from(alphabet[rng.usize(..alphabet.len())]);
            (0..count).map(pick).collect()
        };
        let base64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let id = pick(b"QRSTUVWXYZ234567", 16);
        let secret = pick(base64, 40);
        let [token, other] = [(); 2].map(|()| format!("FwoGZXIvYXdz{}", pick(base64, 202)));
        let named = |token: &str| format!("aws_session_token = {token}==\n");
        let profile = format!(
            "aws_access_key_id = ASIA{id}\naws_secret_access_key = {secret}\n{}",
            named(&token)
        );
        let tokens = |text: &str| -> Vec<Option<String>> {
            let matches = Detector::new(4).scan(text.as_bytes()).matches;
            let token = |token: crate::secret::Secret| token.expose_str().unwrap().to_owned();
            let tokens = matches
                .into_iter()
                .map(|found| found.session_token.map(token));
            tokens.collect()
        };
        let whole = format!("{token}==");
        assert_eq!(tokens(&profile), [Some(whole.clone())]);
        let twice = format!("{profile}{}", named(&token));
        assert_eq!(tokens(&twice), [Some(whole)]);
        let doubtful = format!("{profile}{}", named(&other));
        assert_eq!(tokens(&doubtful), [None]);
    }

    /// What a scan pairs: the ID's last two characters with the secret's.
    fn pairs(text: &str) -> Vec<String> {
        let matches = Detector::new(4).scan(text.as_bytes()).matches;
        let pair = |found: &super::Match| {
            let (id, secret) = (found.access_key_id?, found.secret.as_ref()?);
            Some(id.as_str()[18..].to_owned() + &secret.expose_str()?[38..])
        };
        matches.iter().filter_map(pair).collect()
    }

    #[test]
    fn a_secret_beside_its_id_is_paired_however_often_that_was_seen_before() {
        let mut rng = fastrand::Rng::with_seed(9);
        let alphabet: Vec<u8> = (b'a'..=b'z')
            .chain(b'A'..=b'Z')
            .chain(b'0'..=b'9')
            .collect();
        let mut pick = |alphabet: &[u8], count: usize| -> String {
            let pick = |_| char::from(alphabet[rng.usize(..alphabet.len())]);
            (0..count).map(pick).collect()
        };
        let [id, other] = [(); 2].map(|()| format!("AKIA{}", pick(b"QRSTUVWXYZ234567", 16)));
        let secret = pick(&alphabet, 40);
        let expected = [format!("{}{}", &id[18..], &secret[38..])];
        let mentions = format!("request by {id} ok\n").repeat(20);
        let far = "nothing of any interest stands here\n".repeat(40_000);
        let key = format!("{id},{secret}\n");
        assert_eq!(pairs(&format!("{mentions}{far}{key}")), expected);
        assert_eq!(
            pairs(&format!("{mentions}request by {other} ok\n{far}{key}")),
            expected
        );
        let tokens: String = (0..2100).map(|_| pick(&alphabet, 40) + "\n").collect();
        let found = pairs(&format!("{other}\n{tokens}{key}"));
        assert!(found.contains(&expected[0]), "{found:?}");
    }
}
