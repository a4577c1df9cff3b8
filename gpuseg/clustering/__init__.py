"""Groups rows of a matrix; knows neither files nor names for people."""
