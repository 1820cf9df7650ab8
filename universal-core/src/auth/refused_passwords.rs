//! The passwords that guessers try first, of eight characters or more.

/// Whether `lower`, a password in lower case, is on the list or is one short piece again and again.
pub(crate) fn is_refused(lower: &str) -> bool {
    REFUSED.binary_search(&lower).is_ok() || repeats(lower)
}

/// `aaaaaaaa`, `abababab`, `12312312`: a piece of at most three characters.
fn repeats(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    (1..=3).any(|period| chars.len() > period * 2 && chars.iter().zip(chars.iter().skip(period)).all(|(a, b)| a == b))
}

/// Sorted, for the binary search.
#[rustfmt::skip]
const REFUSED: &[&str] = &[
    "00000000", "01234567", "0123456789", "09876543", "0987654321", "11111111", "111222333", "11223344", "1122334455",
    "112233445566", "12121212", "123123123", "12341234", "12344321", "1234554321", "12345678", "123456789",
    "1234567890", "1234567891", "12345678910", "123456789a", "1234567a", "123456aa", "1234qwer", "123qweasd",
    "123qweasdzxc", "14725836", "147258369", "18atcskd2w", "1q2w3e4r", "1q2w3e4r5t", "1q2w3e4r5t6y", "1qaz2wsx",
    "1qaz2wsx3edc", "1qazxsw2", "20202020", "22222222", "33333333", "3rjs1la7qe", "44444444", "55555555", "66666666",
    "741852963", "77777777", "789456123", "87654321", "88888888", "963852741", "987654321", "9876543210", "99999999",
    "a1234567", "a12345678", "a123456789", "aa123456", "aa12345678", "abc12345", "abc123456", "abcd1234", "abcdefgh",
    "access14", "admin123", "admin1234", "admin12345", "adminadmin", "administrator", "alexander", "apple123",
    "asdasdasd", "asdf1234", "asdfasdf", "asdfghjk", "asdfghjkl", "azertyuiop", "bailey123", "baseball", "baseball1",
    "basketball", "benjamin", "blink182", "bubbles1", "butterfly", "changeme", "changeme1", "changeme123", "charlie1",
    "cheese123", "chelsea1", "chocolate", "christian", "christopher", "computer", "computer1", "cookie123",
    "corvette", "danielle", "default1", "dragon123", "elephant", "elizabeth", "facebook", "firebird", "flower123",
    "football", "football1", "fuckyou1", "fuckyou123", "garfield", "google123", "guest123", "hannah123", "hello123",
    "hello1234", "hellohello", "iloveyou", "iloveyou1", "iloveyou2", "internet", "jennifer", "jessica1", "jonathan",
    "jordan23", "justin123", "killer123", "letmein1", "letmein123", "letmein2", "liverpool", "liverpool1", "login123",
    "lol123456", "loveyou1", "manchester", "master123", "maverick", "mercedes", "michael1", "michelle", "midnight",
    "monkey123", "mustang1", "mynoob123", "mypassword", "naruto123", "newpassword", "nicholas", "nothing1",
    "p@ssw0rd", "p@ssword", "pa55w0rd", "pa55word", "pass1234", "pass12345", "passpass", "passw0rd", "passw0rd1",
    "password", "password!", "password.", "password01", "password1", "password1!", "password11", "password12",
    "password123", "password1234", "password12345", "password2", "password3", "passwort", "patrick1", "pokemon123",
    "princess", "princess1", "q1w2e3r4", "q1w2e3r4t5", "qazwsx123", "qazwsxedc", "qqww1122", "qwer1234", "qwerasdf",
    "qwerqwer", "qwert123", "qwert12345", "qwerty11", "qwerty12", "qwerty123", "qwerty1234", "qwerty12345",
    "qwerty123456", "qwertyui", "qwertyuio", "qwertyuiop", "rootroot", "samantha", "samsung1", "scorpion",
    "secret123", "security", "shadow123", "slipknot", "snowball", "software", "something", "spiderman", "sunshine",
    "sunshine1", "superman", "superman1", "superuser", "swordfish", "test1234", "test12345", "testtest", "thomas123",
    "tinkerbell", "trustno1", "universal", "user1234", "victoria", "welcome1", "welcome12", "welcome123", "whatever",
    "whatever1", "william1", "william123", "xxxxxxxx", "yankees1", "zaq12wsx", "zaq1zaq1", "zxcvbnm,", "zxcvbnm1",
    "zxcvbnm123", "zxcvbnma",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_can_be_searched() {
        let mut sorted = REFUSED.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(REFUSED, sorted, "keep the list sorted");
        for password in ["password", "zxcvbnm,", "00000000", "aaaaaaaaaaaa", "abababab", "12312312"] {
            assert!(is_refused(password), "{password}");
        }
        for password in ["correct horse", "tr0ub4dor&3", "abcabcabd"] {
            assert!(!is_refused(password), "{password}");
        }
    }
}
