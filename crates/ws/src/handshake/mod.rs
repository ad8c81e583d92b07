//! The upgrade (RFC 6455 section 4).
