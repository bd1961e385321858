// Package drive is the processes that a chaos run attacks: drivers, each with clients that write and read rows through one of the
// subjects, and relays. Both are copies of the running program (RunChild), so that they can be killed and stopped like any process, and
// both use nothing but the public packages, as an application would.
//
// A driver records every operation in the run's folder, see package history. It cannot lose any: a write is recorded before it is sent,
// and each line is in the kernel's hands once it is written. The file appears when the process is ready for signals:
//
//   - SIGTERM lets it finish the calls under way, retire what is settled, and exit with 0;
//   - SIGUSR1 arms the points at which it is to die or to pause, SIGUSR2 disarms them.
//
// # What happens when something is down
//
//   - Postgres, Valkey or NATS, at the start or later: the process tries again for ever. Every call has a deadline.
//   - The process that started it: it stops, as on SIGTERM.
//   - The history cannot be written: it stops at once and exits with 1, for what follows would not be judged.
package drive
