//! Tokens that must not be accepted: what other implementations fell for, as data.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    auth::{
        keys::AuthKeys,
        options::AuthOptions,
        refresh_token::RefreshToken,
        token::{AccessTokens, MAX_BYTES, Subject},
    },
    clock::Timestamp,
    id::{TenantId, UserId},
    secret::MasterKey,
};

const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_micros(NOW * 1_000_000)
}

struct Forge {
    keys: Arc<AuthKeys>,
    tokens: AccessTokens,
}

impl Forge {
    fn new() -> Self {
        let keys = Arc::new(AuthKeys::derive(&MasterKey::from_hex(&"2a".repeat(32)).unwrap()).unwrap());
        Self { tokens: AccessTokens::new(Arc::clone(&keys), &AuthOptions::default()), keys }
    }

    fn header(&self) -> Value {
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": self.keys.signing().kid()})
    }

    fn claims() -> Value {
        json!({
            "iss": "universal-backend", "aud": "universal-backend", "sub": UserId::generate(), "client_id": "first-party",
            "iat": NOW, "exp": NOW + 900, "jti": "j", "tid": "default", "sid": "s", "tv": 0, "roles": [],
        })
    }

    /// Signs these very texts with the right key.
    fn sign(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.keys.signing().sign(message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn with_header(&self, name: &str, value: Value) -> String {
        let mut header = self.header();
        header[name] = value;
        self.sign(&header.to_string(), &Self::claims().to_string())
    }

    fn with_claim(&self, name: &str, value: Value) -> String {
        let mut claims = Self::claims();
        claims[name] = value;
        self.sign(&self.header().to_string(), &claims.to_string())
    }

    fn without_claim(&self, name: &str) -> String {
        let mut claims = Self::claims();
        claims.as_object_mut().unwrap().remove(name);
        self.sign(&self.header().to_string(), &claims.to_string())
    }

    /// With a claim whose value is JSON text that `serde_json::Value` would not keep as it is.
    fn with_raw_claim(&self, claim: &str) -> String {
        let claims = Self::claims().to_string();
        self.sign(&self.header().to_string(), &format!("{},{claim}}}", claims.strip_suffix('}').unwrap()))
    }

    /// Signed by HMAC with a public text as its key, as if that were a shared secret.
    fn hs256(&self, key: &[u8]) -> String {
        let mut header = self.header();
        header["alg"] = "HS256".into();
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(Self::claims().to_string())
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    fn public(&self) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(&self.keys.jwks().keys[0].x).unwrap()
    }

    fn pem(&self) -> String {
        let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        der.extend(self.public());
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
    }

    fn issue(&self) -> String {
        let subject = Subject::new(TenantId::default_tenant(), UserId::generate(), "session", 3)
            .with_roles(vec!["editor".to_owned()]);
        let (token, _) = self.tokens.issue(&subject, now(), now().plus(Duration::from_secs(86_400))).unwrap();
        token.expose_secret().to_owned()
    }

    fn refusal(&self, token: &str) -> Option<&'static str> {
        self.tokens.verify(token, now()).err().map(|error| error.code())
    }
}

#[test]
fn a_good_token_passes() {
    let forge = Forge::new();
    let verified = forge.tokens.verify(&forge.issue(), now()).unwrap();
    assert_eq!(verified.subject.tenant.as_str(), "default");
    assert_eq!(verified.subject.session, "session");
    assert_eq!(verified.subject.token_version, 3);
    assert_eq!(verified.subject.roles, ["editor"]);
    assert_eq!(verified.expires_at.as_seconds(), NOW + 900);
    // What the vectors below are made from is good, too, or they would prove nothing.
    let base = forge.sign(&forge.header().to_string(), &Forge::claims().to_string());
    assert_eq!(forge.refusal(&base), None);
    assert_eq!(forge.refusal(&forge.with_claim("nbf", json!(NOW + 30))), None);
    assert_eq!(forge.refusal(&forge.with_claim("iat", json!(NOW + 30))), None);
    assert_eq!(forge.refusal(&forge.with_raw_claim("\"later\":{\"a\":1}")), None);
}

#[test]
fn time_ends_a_token_after_the_leeway() {
    let forge = Forge::new();
    let token = forge.issue();
    let at = |seconds: u64| forge.tokens.verify(&token, now().plus(Duration::from_secs(seconds)));
    assert!(at(929).is_ok());
    assert_eq!(at(930).unwrap_err().code(), "token-expired");
    assert_eq!(at(1_000_000).unwrap_err().code(), "token-expired");
    assert!(forge.tokens.verify(&token, now().minus(Duration::from_secs(31))).is_err());
}

#[test]
fn a_token_of_the_previous_key_is_accepted_until_that_key_goes() {
    let forge = Forge::new();
    let token = forge.issue();
    let other = || AuthKeys::derive(&MasterKey::generate().unwrap()).unwrap();
    let verify = |keys: AuthKeys| AccessTokens::new(Arc::new(keys), &AuthOptions::default()).verify(&token, now());
    assert!(verify(other().with_previous(forge.public().try_into().unwrap())).is_ok());
    assert!(verify(other()).is_err());
}

#[test]
fn forged_and_malformed_tokens_are_refused() {
    let forge = Forge::new();
    let good = forge.sign(&forge.header().to_string(), &Forge::claims().to_string());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, claims, signature) = (parts[0], parts[1], parts[2]);
    let without = |key: &str| {
        let mut header = forge.header();
        header.as_object_mut().unwrap().remove(key);
        forge.sign(&header.to_string(), &Forge::claims().to_string())
    };
    let flipped = |at: usize| {
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        bytes[at] ^= 1;
        format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(bytes))
    };
    let pem = forge.pem();
    let other = AuthKeys::derive(&MasterKey::generate().unwrap()).unwrap();
    let by_other = {
        let message = format!("{header}.{claims}");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(other.signing().sign(message.as_bytes()).unwrap()))
    };
    let elsewhere = AccessTokens::new(Arc::clone(&forge.keys), &AuthOptions::default().with_audience("elsewhere"));
    let subject = Subject::new(TenantId::default_tenant(), UserId::generate(), "s", 0);
    let for_elsewhere = elsewhere.issue(&subject, now(), now().plus(Duration::from_secs(900))).unwrap().0;
    let refresh = RefreshToken::generate().unwrap().to_text();
    let raw_exp = |value: &str| {
        let claims =
            Forge::claims().to_string().replace(&format!("\"exp\":{}", NOW + 900), &format!("\"exp\":{value}"));
        forge.sign(&forge.header().to_string(), &claims)
    };

    let vectors: Vec<(&str, String)> = vec![
        ("empty", String::new()),
        ("alg none", forge.with_header("alg", json!("none"))),
        ("alg None", forge.with_header("alg", json!("None"))),
        ("alg nOnE", forge.with_header("alg", json!("nOnE"))),
        ("alg empty", forge.with_header("alg", json!(""))),
        ("alg null", forge.with_header("alg", Value::Null)),
        ("alg missing", without("alg")),
        ("alg none, no signature", {
            let header = json!({"alg": "none", "typ": "at+jwt", "kid": forge.keys.signing().kid()});
            format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(header.to_string()))
        }),
        ("alg in another case", forge.with_header("alg", json!("eddsa"))),
        ("HS256 with the public key", forge.hs256(&forge.public())),
        ("HS256 with the PEM", forge.hs256(pem.as_bytes())),
        ("HS256 with the PEM after a space", forge.hs256(format!(" {pem}").as_bytes())),
        ("HS256 with the PEM without its line end", forge.hs256(pem.trim_end().as_bytes())),
        ("HS256 with an empty key", forge.hs256(b"")),
        ("ES256", forge.with_header("alg", json!("ES256"))),
        ("RS256", forge.with_header("alg", json!("RS256"))),
        ("PS256", forge.with_header("alg", json!("PS256"))),
        ("zero signature", format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([0_u8; 64]))),
        ("kid is a path", forge.with_header("kid", json!("../../dev/null"))),
        ("kid is SQL", forge.with_header("kid", json!("' or 1=1 --"))),
        ("kid of another backend", forge.with_header("kid", json!(other.signing().kid()))),
        ("kid unknown", forge.with_header("kid", json!("AAAAAAAAAAAAAAAA"))),
        ("kid empty", forge.with_header("kid", json!(""))),
        ("kid is a number", forge.with_header("kid", json!(0))),
        ("kid missing", without("kid")),
        ("typ JWT", forge.with_header("typ", json!("JWT"))),
        ("typ of a mail token", forge.with_header("typ", json!("mail+jwt"))),
        ("typ missing", without("typ")),
        ("jku", forge.with_header("jku", json!("https://attacker.example/keys"))),
        ("jwk", forge.with_header("jwk", serde_json::to_value(&other.jwks().keys[0]).unwrap())),
        ("x5u", forge.with_header("x5u", json!("https://attacker.example/cert"))),
        ("x5c", forge.with_header("x5c", json!(["AA"]))),
        ("crit", forge.with_header("crit", json!(["exp"]))),
        ("b64", forge.with_header("b64", json!(false))),
        ("JWE header with zip", forge.with_header("zip", json!("DEF"))),
        ("header twice the kid", {
            let kid = forge.keys.signing().kid();
            forge.sign(
                &format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"x","kid":"{kid}"}}"#),
                &Forge::claims().to_string(),
            )
        }),
        ("exp missing", forge.without_claim("exp")),
        ("exp null", raw_exp("null")),
        ("exp text", raw_exp(&format!("\"{}\"", NOW + 900))),
        ("exp float", raw_exp(&format!("{}.5", NOW + 900))),
        ("exp integral float", raw_exp(&format!("{}.0", NOW + 900))),
        ("exp negative", raw_exp("-1")),
        ("exp 1e30", raw_exp("1e30")),
        ("exp 2^63", raw_exp("9223372036854775808")),
        ("exp 2^63 - 1", raw_exp("9223372036854775807")),
        ("exp twice", forge.with_raw_claim(&format!("\"exp\":{}", NOW + 9_000))),
        ("nbf text", forge.with_claim("nbf", json!(NOW.to_string()))),
        ("nbf null", forge.with_claim("nbf", Value::Null)),
        ("nbf in ten minutes", forge.with_claim("nbf", json!(NOW + 600))),
        ("iat in ten minutes", forge.with_claim("iat", json!(NOW + 600))),
        ("iat missing", forge.without_claim("iat")),
        ("iat after exp", forge.with_claim("exp", json!(NOW - 5))),
        ("aud missing", forge.without_claim("aud")),
        ("aud list", forge.with_claim("aud", json!(["universal-backend", "elsewhere"]))),
        ("aud of another service", for_elsewhere.expose_secret().to_owned()),
        ("iss other", forge.with_claim("iss", json!("https://attacker.example"))),
        ("iss list", forge.with_claim("iss", json!(["universal-backend"]))),
        ("iss missing", forge.without_claim("iss")),
        ("sub missing", forge.without_claim("sub")),
        ("sub empty", forge.with_claim("sub", json!(""))),
        ("sub hostile", forge.with_claim("sub", json!("a' or '1'='1"))),
        ("sub twice", forge.with_raw_claim("\"sub\":\"someone-else\"")),
        ("tid missing", forge.without_claim("tid")),
        ("tid hostile", forge.with_claim("tid", json!("Default"))),
        ("sid missing", forge.without_claim("sid")),
        ("sid empty", forge.with_claim("sid", json!(""))),
        ("tv text", forge.with_claim("tv", json!("0"))),
        ("roles text", forge.with_claim("roles", json!("admin"))),
        ("roles of numbers", forge.with_claim("roles", json!([1]))),
        ("client_id missing", forge.without_claim("client_id")),
        ("client_id other", forge.with_claim("client_id", json!("someone"))),
        ("claims a list", forge.sign(&forge.header().to_string(), "[]")),
        ("claims not JSON", forge.sign(&forge.header().to_string(), "{")),
        ("claims with a tail", forge.sign(&forge.header().to_string(), &format!("{} {{}}", Forge::claims()))),
        ("roles a thousand deep", {
            let deep = format!("\"roles\":{}{}", "[".repeat(1_000), "]".repeat(1_000));
            forge.sign(&forge.header().to_string(), &Forge::claims().to_string().replace("\"roles\":[]", &deep))
        }),
        ("refresh token", refresh.expose_secret().to_owned()),
        ("signed by another key", by_other),
        ("signature stripped", format!("{header}.{claims}.")),
        ("signature and dot stripped", format!("{header}.{claims}")),
        ("signature truncated", good[..good.len() - 4].to_owned()),
        ("signature, first bit", flipped(0)),
        ("signature, last byte", flipped(63)),
        ("claims of another token", {
            let theirs = URL_SAFE_NO_PAD.encode(Forge::claims().to_string());
            format!("{header}.{theirs}.{signature}")
        }),
        ("five parts", format!("{good}.AA.AA")),
        ("four parts", format!("{good}.")),
        ("JWS in JSON form", json!({"protected": header, "payload": claims, "signature": signature}).to_string()),
        ("padding", format!("{good}==")),
        ("white space before", format!(" {good}")),
        ("white space after", format!("{good}\n")),
        ("white space within", good.replace('.', ". ")),
        ("not url-safe", {
            let text = base64::engine::general_purpose::STANDARD_NO_PAD.encode([0xfb_u8; 64]);
            format!("{header}.{claims}.{text}")
        }),
        ("stray bits", {
            // 64 bytes leave four bits of the last character unused.
            let last = signature.chars().last().unwrap();
            let next = char::from_u32(last as u32 + 1).unwrap();
            format!("{}{next}", &good[..good.len() - 1])
        }),
        ("one byte too long", "a".repeat(MAX_BYTES + 1)),
        ("a header of a mebibyte", format!("{}.{claims}.{signature}", "e".repeat(1 << 20))),
        ("not ASCII", format!("\u{e9}.{claims}.{signature}")),
    ];
    assert!(vectors.len() >= 40);
    for (name, token) in vectors {
        assert_eq!(forge.refusal(&token), Some("invalid-token"), "{name}");
    }
}
