"""Words that every room shares: addresses, bounds, clock, errors, outcomes and reasons."""
