"""How targets are: checked by the supervisor, told to all workers by the board, ordered by operators."""
