"""What the operator wrote: the model that validates it, and the frozen plan that the other rooms read."""
