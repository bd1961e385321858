// Package data holds the flights and airports that the demo works on. README.md has their source, licence and meaning.
package data

import _ "embed" // for the two files

// Flights is flights.csv: a header line, then 5,000 rows of id, departure, origin, destination, distance, delay.
// Origin and destination are codes of Airports.
//
//go:embed flights.csv
var Flights string

// Airports is airports.csv: a header line, then 203 rows of code, name, city, state, latitude, longitude. A name may be
// quoted, for it may hold a comma.
//
//go:embed airports.csv
var Airports string
