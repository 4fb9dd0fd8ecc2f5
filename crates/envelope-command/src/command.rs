//! Subcommands, one file each.

pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod cp;
pub(crate) mod decrypt;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod du;
pub(crate) mod encrypt;
pub(crate) mod get;
pub(crate) mod get_tree;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod key;
pub(crate) mod keygen;
pub(crate) mod ls;
pub(crate) mod put;
pub(crate) mod put_tree;
pub(crate) mod restore;
pub(crate) mod rewrap;
pub(crate) mod rewrap_bulk;
pub(crate) mod rm;
pub(crate) mod sign;
pub(crate) mod sse_headers;
pub(crate) mod sync;
pub(crate) mod uploads;
pub(crate) mod verify_tree;
