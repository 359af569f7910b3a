package statemachine

// What names the thing a Note tells.
type What string
