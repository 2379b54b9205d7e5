//! echod says back what it hears.
