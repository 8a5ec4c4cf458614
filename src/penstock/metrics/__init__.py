"""The arithmetic of observation: ledger, fold, snapshot. Knows no protocol."""
