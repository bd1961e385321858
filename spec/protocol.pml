/* The base protocol: one key, on one server that loses nothing but whole entries, beside a database that loses nothing.
   repair.pml has the server that loses data, pgfailover.pml the database. The rules' names are those of docs/protocol.md.

   Modelled: VERSIONS transactions on the key, which commit in the order of their versions (V1). After its commit a
   version may be brought to the cache at any time, any number of times, in any order, as a value or as an
   invalidation, or never: so there are any number of writers and relays, each of which may be slow, die, come late or
   come twice. What takes several steps is a process, and every step may be delayed for ever behind any other:
   ALLOCATORS  writers and relays about to store a value onto nothing: ticket, look at Postgres, apply
   READERS     loaders: ticket, version, row, version again, fill
   Chaos drops the entry (flush, eviction, expiry, DEL) or puts somebody else's bytes there, any number of times.
   A record is retired in the very step that settles it: no moment is worse.

   Content is the version of the row really held; the label is the version that the entry claims. A token is never
   used twice, so of a ticket it matters only whether it is of the placeholder that is there.

   Not modelled: several keys (no rule here speaks of two), pruning and its floor (V6), how callers share a load (R3),
   read-your-writes (R5), payloads that cannot be stored (C5), replicas (C7).

   Properties
   settled  once the latest version's record is retired, the cache does not hold an older value, at no moment after
   bound    no placeholder asks for a version that does not exist
   forward  content never goes back, not even by way of an empty entry: no zombie
   label    an entry labelled v holds the content of exactly v   (-DNO_LABEL leaves it out, to see what else breaks)
   With "settled", when all is quiet the cache holds nothing, foreign bytes, a placeholder, or the latest version.

   Each mutant, -DM_..., is the protocol without one rule, and must fail; the file runs has the list.
   -DTICKET_BEFORE_LOOK is no mutant: it takes a loader's ticket as late as R1 allows. */

#ifndef VERSIONS
#define VERSIONS 3
#endif
#ifndef ALLOCATORS
#define ALLOCATORS 1
#endif
#ifndef READERS
#define READERS 1
#endif

/* kinds of entry */
#define ABSENT  0
#define FOREIGN 1
#define PLACE   2
#define VALUE   3

/* what an apply wants */
#define ALLOC 0
#define WRITE 1
#define INVAL 2

byte db = 0;                     /* the latest committed version, of the row and of its versions row */
bool pending = false;            /* whether its record is in the outbox */
byte kind = ABSENT, ver = 0;     /* the entry: a value's label, or a placeholder's bound */
byte con = 0;                    /* a value's content */
byte high = 0;                   /* the newest content ever held */
byte held = 0, good = 0;         /* sets of processes: who holds a ticket, and whose is of the placeholder that is there */

#define HAS(p)  (held & (1 << (p)))
#define FITS(p) (good & (1 << (p)))
inline take(p) { held = held | (1 << (p)); good = good | (1 << (p)) }
inline leave(p) { held = held & ~(1 << (p)); good = good & ~(1 << (p)) }

/* Whoever only brings a value or an invalidation has no ticket, and the number of nobody. */
#define NOBODY 7

/* --- the entry, step by step as in cache/lua -------------------------------------------------- */

inline store(label, content) {
  good = 0; kind = VALUE; ver = label; con = content;
#ifndef NO_LABEL
  assert(con == ver); /* label */
#endif
  assert(con >= high); /* forward */
  high = con
}

inline placeholder(bound) { good = 0; kind = PLACE; ver = bound; con = 0 }

inline clear(left) { good = 0; kind = left; ver = 0; con = 0 }

#ifdef M_VERSION_COMPARE
#define NEWER(v) true
#else
#define NEWER(v) ((v) > ver)
#endif
#ifdef M_BOUND_ON_REPLACE
#define REACHES(v) true
#else
#define REACHES(v) ((v) >= ver)
#endif
#ifdef M_TOKEN_ON_FILL
#define ADMITS(v, p) (HAS(p) && REACHES(v))
#else
#define ADMITS(v, p) (FITS(p) && REACHES(v))
#endif

inline ticket(who) {
  if
  :: kind <= FOREIGN -> placeholder(0); take(who)
  :: kind == PLACE ->
#ifdef M_TICKET_KEEPS_BOUND
     ver = 0;
#endif
     take(who)
  :: else -> leave(who)
  fi
}

/* apply by a writer or a relay. Its reply is check if who has a ticket after it. */
inline apply(version, want, who) {
  if
  :: kind <= FOREIGN ->
     if
#ifdef M_ALLOCATE_WITHOUT_TICKET
     :: want == ALLOC && kind == ABSENT -> store(version, version)
#endif
#ifdef M_FOREIGN_IS_NOTHING
     :: want != INVAL && kind == FOREIGN -> store(version, version)
#endif
     :: else ->
        if
        :: want == ALLOC -> placeholder(version); take(who)
        :: else -> clear(ABSENT); leave(who)
        fi
     fi
  :: kind == VALUE ->
     leave(who);
     if
     :: NEWER(version) && want == INVAL ->
#ifdef M_INVALIDATE_KEEPS_BOUND
        placeholder(0)
#else
        placeholder(version)
#endif
     :: NEWER(version) && want != INVAL -> store(version, version)
     :: else
     fi
  :: kind == PLACE ->
     if
     :: want != INVAL && ADMITS(version, who) -> store(version, version); leave(who)
     :: else ->
        if
        :: want == ALLOC && version >= ver -> take(who)
        :: else -> leave(who)
        fi;
#ifndef M_RAISE_BOUND
        if
        :: version > ver -> ver = version
        :: else
        fi
#endif
     fi
  fi;
  pending = pending && version != db /* whatever it replied, it is settled */
}

inline fill(label, content, who) {
  if
#ifdef M_FILL_ONTO_NOTHING
  :: kind == ABSENT -> store(label, content)
#endif
  :: kind == VALUE && NEWER(label) -> store(label, content)
  :: kind == PLACE && ADMITS(label, who) -> store(label, content)
  :: else
  fi;
  leave(who)
}

/* --- the processes ---------------------------------------------------------------------------- */

#ifdef M_RECORD_IN_TRANSACTION
#define RECORDED false
#else
#define RECORDED true
#endif

#ifdef M_VERSION_AFTER_LOCK
byte drawn = 0; /* the versions committed, as a set, for they come in any order */
inline commit(version) { d_step { !(drawn & (1 << version)) -> drawn = drawn | (1 << version); db = version; pending = RECORDED } }
#define COMMITTED(version) (drawn & (1 << (version)))
#else
inline commit(version) { d_step { db == version - 1 -> db = version; pending = RECORDED } }
#define COMMITTED(version) (db >= (version))
#endif

/* Any committed version comes to the cache, at any time. */
inline deliver(version) { d_step { COMMITTED(version) -> apply(version, WRITE, NOBODY) } }
inline deliver_invalidation(version) { d_step { COMMITTED(version) -> apply(version, INVAL, NOBODY) } }

proctype world() {
end:
  do
  :: commit(1)
  :: commit(2)
  :: commit(3)
  :: deliver(1)
  :: deliver(2)
  :: deliver(3)
  :: deliver_invalidation(1)
  :: deliver_invalidation(2)
  :: deliver_invalidation(3)
#if VERSIONS > 3
  :: commit(4)
  :: deliver(4)
  :: deliver_invalidation(4)
#endif
#ifdef M_RETIRE_AFTER_SETTLED
  :: d_step { pending -> pending = false }
#endif
  :: d_step { kind != ABSENT -> clear(ABSENT) }
  :: d_step { kind != FOREIGN -> clear(FOREIGN) }
  od
}

/* A writer begins with an apply that leaves it the ticket, a relay with a ticket (L1). */
#ifdef M_RELAY_TICKET_BEFORE_READ
inline begin(version) { d_step { v == 0 && COMMITTED(version) -> v = version } }
inline begin_relay(version) { begin(version) }
#else
inline begin(version) {
  d_step { v == 0 && COMMITTED(version) -> apply(version, ALLOC, me); v = (HAS(me) -> version : 0) }
}
inline begin_relay(version) {
  d_step { v == 0 && COMMITTED(version) -> ticket(me); v = (HAS(me) -> version : 0) }
}
#endif

#ifdef M_CHECK_BEFORE_ALLOCATE
#define LATEST true
#else
#define LATEST (db == v)
#endif

proctype allocator(byte me) {
  byte v; bool latest;
end:
  do
  :: begin(1)
  :: begin(2)
  :: begin(3)
  :: begin_relay(1)
  :: begin_relay(2)
  :: begin_relay(3)
#if VERSIONS > 3
  :: begin(4)
  :: begin_relay(4)
#endif
  :: d_step { v != 0 && !latest && LATEST -> latest = true }
  :: d_step { v != 0 && !latest && !LATEST -> leave(me); v = 0 }
  :: d_step {
       latest ->
#ifdef M_RELAY_TICKET_BEFORE_READ
       ticket(me);
#endif
       apply(v, WRITE, me); leave(me); v = 0; latest = false
     }
  od
}

/* How far a loader is. */
#define IDLE     0
#define TICKETED 1
#define HALF     2
#define READ     3
#define LOOKED   4

#if defined(M_TICKET_BEFORE_LOAD) || defined(TICKET_BEFORE_LOOK)
#define TICKET_LATE
#endif

proctype reader(byte me) {
  byte at, v, c;
end:
  do
#ifdef TICKET_LATE
  :: d_step { at == IDLE -> at = TICKETED }
#else
  :: d_step { at == IDLE && kind != VALUE -> ticket(me); at = TICKETED }
#endif
#ifdef M_VERSION_BEFORE_ROW
  :: d_step { at == TICKETED -> c = db; at = HALF }
  :: d_step { at == HALF -> v = db; at = READ }
#else
  :: d_step { at == TICKETED -> v = db; at = HALF }
  :: d_step { at == HALF -> c = db; at = READ }
#endif
#ifdef TICKET_BEFORE_LOOK
  :: d_step { at == READ && !HAS(me) && kind != VALUE -> ticket(me) }
#endif
#ifdef M_EXACT_LABEL
  :: d_step { at == READ -> at = LOOKED }
#else
  :: d_step { at == READ && db == v -> at = LOOKED }
  :: d_step { at == READ && db != v -> leave(me); at = IDLE; v = 0; c = 0 }
#endif
  :: d_step {
       at == LOOKED ->
#ifdef M_TICKET_BEFORE_LOAD
       ticket(me);
#endif
       fill(v, c, me); at = IDLE; v = 0; c = 0
     }
  od
}

#define SETTLED (pending || kind != VALUE || con == db)
#define BOUND   (kind != PLACE || ver <= db)

proctype monitor() {
end:
  if
  :: atomic { !SETTLED -> assert(SETTLED) }
#ifndef M_VERSION_AFTER_LOCK
  :: atomic { !BOUND -> assert(BOUND) }
#endif
  fi
}

init {
  atomic {
    byte k;
    run monitor(); run world();
    for (k : 1 .. ALLOCATORS) { run allocator(k - 1) }
    for (k : 1 .. READERS) { run reader(ALLOCATORS + k - 1) }
    k = 0
  }
}
