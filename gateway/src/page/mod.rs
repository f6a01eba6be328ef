//! The page at a gateway's `/`: connect, join, publish, see messages and raw frames, from a browser.
//!
//! Its files are compiled in, so that a gateway needs no folder beside it and the page talks to nothing but gateways.
//! In their order: `index.html`, `page.css`, `connection.js` (the protocol, without the page), `page.js` (what people
//! see and press).

mod files;

pub(crate) use files::routes;
