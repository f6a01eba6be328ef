//! Who a client says that it is, and how it wants to talk: `HELLO`, `AUTH`, `SELECT`, and the names of a connection.

use bytes::Bytes;

use crate::redis::command::{Refused, quoted};
use crate::redis::decode::number;
use crate::redis::reply::Version;

/// A `HELLO`, read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// The version to speak.
    pub(crate) version: Version,
    /// The connection's name, if there is to be another.
    pub(crate) name: Option<Bytes>,
}

/// Reads what follows `HELLO`. Without a version it stays the current one.
///
/// # Errors
/// A version, an option, a user or a name that there is not.
pub(crate) fn read(arguments: &[Bytes], current: Version) -> Result<Greeting, Refused> {
    let (mut version, mut rest) = (current, arguments);
    if let [wanted, options @ ..] = arguments {
        version = match number(wanted) {
            Some(2) => Version::Resp2,
            Some(3) => Version::Resp3,
            Some(_) => return Err(refused("NOPROTO unsupported protocol version")),
            None => return Err(refused("ERR Protocol version is not an integer or out of range")),
        };
        rest = options;
    }
    let (mut name, mut is_welcome) = (None, true);
    while let [option, options @ ..] = rest {
        rest = match options {
            [user, _, behind @ ..] if option.eq_ignore_ascii_case(b"auth") => {
                is_welcome = is_known(user);
                behind
            }
            [wanted, behind @ ..] if option.eq_ignore_ascii_case(b"setname") => {
                name = Some(read_name(wanted)?);
                behind
            }
            _ => return Err(quoting("ERR Syntax error in HELLO option '", option)),
        };
    }
    if is_welcome { Ok(Greeting { version, name }) } else { Err(refused(WRONG_PASSWORD)) }
}

/// What follows `AUTH`: there is one user, who needs no password.
///
/// # Errors
/// Another user, or a password alone.
pub(crate) fn authenticate(arguments: &[Bytes]) -> Result<(), Refused> {
    match arguments {
        [_] => Err(refused(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        )),
        [user, _] if is_known(user) => Ok(()),
        [_, _] => Err(refused(WRONG_PASSWORD)),
        _ => Err(refused("ERR syntax error")),
    }
}

/// What follows `SELECT`: there is one database.
///
/// # Errors
/// Another one, or no number.
pub(crate) fn select(arguments: &[Bytes]) -> Result<(), Refused> {
    match arguments.first().and_then(|index| number(index)) {
        Some(0) => Ok(()),
        Some(_) => Err(refused("ERR DB index is out of range")),
        None => Err(refused("ERR value is not an integer or out of range")),
    }
}

/// The name of a connection; empty for none.
///
/// # Errors
/// Something else than printable letters in it.
pub(crate) fn read_name(name: &[u8]) -> Result<Bytes, Refused> {
    if is_printable(name) {
        Ok(Bytes::copy_from_slice(name))
    } else {
        Err(refused("ERR Client names cannot contain spaces, newlines or special characters."))
    }
}

/// What follows `CLIENT SETINFO`: the client's library, which nobody asks for here.
///
/// # Errors
/// Another option, or something else than printable letters.
pub(crate) fn set_info(arguments: &[Bytes]) -> Result<(), Refused> {
    let [option, value] = arguments else { return Ok(()) };
    match ["lib-name", "lib-ver"].iter().find(|known| option.eq_ignore_ascii_case(known.as_bytes())) {
        None => Err(quoting("ERR Unrecognized option '", option)),
        Some(known) if !is_printable(value) => {
            Err(refused(&format!("ERR {known} cannot contain spaces, newlines or special characters.")))
        }
        Some(_) => Ok(()),
    }
}

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";

fn is_known(user: &[u8]) -> bool {
    user == b"default"
}

fn is_printable(text: &[u8]) -> bool {
    text.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

fn refused(text: &str) -> Refused {
    Refused(text.as_bytes().to_vec())
}

fn quoting(text: &str, quote: &[u8]) -> Refused {
    Refused([text.as_bytes(), quoted(quote, usize::MAX), b"'"].concat())
}
