// Package stack launches the real servers that tidelock stands on: Postgres, Valkey and NATS JetStream. One launcher
// serves the demo, the dev stack, the tests, the chaos rig and the benchmarks.
//
// # What it guarantees
//
//   - Start returns when every server has answered a question that only the server we started can answer (its data
//     folder, its process id, its name), so a foreign server on the same port is never mistaken for ours.
//   - A server keeps its port for life: Stop, Kill and Start again, and clients find it where it was.
//   - Close ends every process, joins every goroutine and removes every folder the package made.
//   - Only processes that this package started, and their children, are ever signalled.
//   - On Linux the servers die with the launcher, even when the launcher itself is killed with SIGKILL.
//
// # How it fails
//
// A program that is missing or too old is a *MissingError, one sentence that says what to run. A server that does not
// come up is an error that ends with the last lines of its log.
//
// When the launcher is killed with SIGKILL nobody is left to tidy up: the temporary folder stays, and so does the few
// bytes of System V shared memory with which Postgres guards its data folder. A Postgres that was paused at that
// moment leaves its stopped backends behind as well, since only the postmaster is bound to the launcher.
//
// A Proxy in front of a server makes the network fail instead: black holes of one direction or both, resets, latency,
// drips, connections that only the client believes in, cuts. A Clock makes servers see the time of day jump.
//
// # More than one server of a kind
//
// Valkey: ReplicaOf, StartSentinel, StartValkeyCluster. Postgres: StartStandby. Replicas and standbys are asynchronous,
// and what was committed or written last is lost when they are promoted behind a black hole.
//
// # Programs that start NATS
//
// NATS comes from nats-server/v2 and runs in a process of its own, so that it can be killed like the others. That
// process is this very program, started once more with an environment variable set. Whoever starts NATS must therefore
// call RunChild first thing in main (and in TestMain); StartNATS refuses otherwise.
//
// The package runs on Unix systems; it needs Postgres 15 and Valkey 8 or newer.
package stack
