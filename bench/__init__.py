"""The benchmark: Penstock and its rivals under the same loads, side by side, in one run on one machine."""
