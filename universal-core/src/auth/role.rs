//! Roles: names that rules and services ask for.

use crate::error::{Error, Result};

/// The most roles that an account has.
pub const MAX_ROLES: usize = 32;

/// Checks role names (`[a-z][a-z0-9_-]{0,62}`, at most 32) and answers them sorted, each once.
///
/// # Errors
/// `Invalid` (`invalid-roles`) with the rule that is broken.
pub fn check_roles(mut roles: Vec<String>) -> Result<Vec<String>> {
    let is_role = |role: &String| {
        role.len() <= 63
            && role.starts_with(|c: char| c.is_ascii_lowercase())
            && role.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
    };
    if !roles.iter().all(is_role) {
        return Err(Error::invalid(
            "invalid-roles",
            "a role is 1 to 63 of a-z, 0-9, '_' and '-', beginning with a letter",
        )
        .with_field("/roles"));
    }
    roles.sort();
    roles.dedup();
    if roles.len() > MAX_ROLES {
        return Err(Error::invalid("invalid-roles", "an account has at most 32 roles").with_field("/roles"));
    }
    Ok(roles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_checked_sorted_and_unique() {
        let given = ["editor", "admin", "editor"].map(str::to_owned).to_vec();
        assert_eq!(check_roles(given).unwrap(), ["admin", "editor"]);
        for bad in ["", "Admin", "9a", "a b", "a\"b", &"a".repeat(64)] {
            assert!(check_roles(vec![bad.to_owned()]).is_err(), "{bad}");
        }
        assert!(check_roles((0..33).map(|n| format!("r{n}")).collect()).is_err());
    }
}
