/* The cache loses data and is repaired: one key, servers of which each has a prefix of another's history, the canary,
   the guardian's record, and the repair. protocol.pml has the rules of the entry, which hold here too.

   Modelled
   - TXS transactions that change the key. Each takes an xid when it begins and draws its version at its commit, so that
     xids are not in the order of commits. The versions row bears version and xid of the last one. Only the latest
     version's record is there: an older one is superseded, and may be gone.
   - SERVERS servers. One comes to be as a copy of another, entry, tokens and canary, at any moment: a replica that is
     promoted and lagged since then, or a restart from a snapshot of then. The other goes on answering whoever still
     talks to it, for ever: any single command of anybody may go to any server. With GENERATIONS > 1 a server that is
     there may also become a copy of another and be promoted again, under its run id with a new replication id.
   - Deliveries of any committed version to any server, at any time, any number of times; the reply names the server's
     run id, and the record may be retired at any time after it, if that is the one on record at that time.
   - A loader: ticket, read, fill, each on any server. (Whoever allocates does the same.) LOADER=0 leaves it out.
   - The guardian: look at any server; register it; repair what is in doubt; say that it is repaired. Each step may be
     delayed for ever or be the last. One process is any number of guardians: a deposed one's statements do nothing, its
     invalidations are deliveries, and the next one begins anew, as this one may after each step. GUARDIANS=2 has two that
     depose each other at any time and never know. The end of a repair is fenced by the number of the doubt, and needs no
     term; nor, as D6-register-term shows, does the registering.
   - BEATS beats under way, of whichever guardian, in office or not: the horizon and the record in one snapshot; later
     the canary. No term guards a beat.
   - Entries and canaries are dropped at any time. DROPS=0 leaves it out.
   At first no server is on record; with ON_RECORD=1 the first one is.

   Not modelled: shards (each is a server on record of its own), several keys (the horizon is the least over all keys,
   and a lower one only repairs more), records set aside (they count as settled), pruning of versions rows.

   Properties
   settled  while a server is on record, is still what it was, and is not in doubt: once the latest version's record is
            retired, that server does not hold an older value, at no moment after
   bound    no placeholder asks for a version that does not exist

   Each mutant, -DM_..., is the design without one rule. The file runs has the list, with those that turn out to hold:
   rules that nothing here needs. */

#ifndef TXS
#define TXS 2
#endif
#ifndef SERVERS
#define SERVERS 2
#endif
#ifndef GENERATIONS
#define GENERATIONS 1
#endif
#ifndef GUARDIANS
#define GUARDIANS 1
#endif
#ifndef BEATS
#define BEATS 1
#endif
#ifndef LOADER
#define LOADER 1
#endif
#ifndef DROPS
#define DROPS 1
#endif
#ifndef ON_RECORD
#define ON_RECORD 0
#endif

#define ABSENT 0
#define PLACE  1
#define VALUE  2

#define NONE 15                  /* no repair_from: nothing is in doubt */

/* Postgres */
byte begun = 0, running = 0;     /* xids given; those whose transaction runs, as a set */
byte db = 0, row_xid = 0;        /* the versions row */
bool pending = false;            /* its record */
byte replied = 0;                /* the servers that have settled version db, as a set of run ids */
byte server = ON_RECORD, server_gen = 0; /* the server on record, 0 for none */
byte repair_from = NONE;
byte office = 1;                 /* the guardian whose term it is */
bool same[GUARDIANS + 1];        /* whether a guardian's repair is of the doubt on record */
#ifdef M_HORIZON_OF_RUNNING
byte ended = 0;                  /* the highest xid that has committed */
#endif

/* the servers, 1 to servers */
byte servers = 1;
byte kind[SERVERS + 1], ver[SERVERS + 1], tok[SERVERS + 1], canary[SERVERS + 1], gen[SERVERS + 1];

byte held = 0, loaded = 0;       /* the loader's ticket and the version it has read, 0 for none */

#define BIT(i) (1 << (i))

/* A ticket whose placeholder is gone everywhere is as good as none, for no server will ever have it again. */
#if SERVERS == 2
#define IN_USE(t) (tok[1] == t || tok[2] == t)
#else
#define IN_USE(t) (tok[1] == t || tok[2] == t || tok[3] == t)
#endif
inline forget() {
  if
  :: !IN_USE(held) -> held = 0; loaded = 0
  :: else
  fi
}

/* A placeholder with a token that is nowhere else. */
inline place(s, bound) {
  kind[s] = PLACE; ver[s] = bound; tok[s] = 0; forget();
#if LOADER
  tok[s] = (!IN_USE(1) -> 1 : (!IN_USE(2) -> 2 : 3))
#endif
}

inline value(s, version) { kind[s] = VALUE; ver[s] = version; tok[s] = 0; forget() }

inline absent(s) { kind[s] = ABSENT; ver[s] = 0; tok[s] = 0; forget() }

/* What every write does to a placeholder. */
inline raise(s, version) {
  if
  :: kind[s] == PLACE && ver[s] < version -> ver[s] = version
  :: else
  fi
}

inline invalidate(s, version) {
  if
  :: kind[s] == VALUE && ver[s] < version -> place(s, version)
  :: else ->
#ifndef M_REPAIR_RAISES_BOUND
     raise(s, version)
#endif
  fi
}

/* The horizon: every transaction with a lower xid has ended, and is settled. */
#define RUNS(xid) (running & BIT(xid))
#ifdef M_HORIZON_OF_RUNNING
#define XMIN (ended + 1)
#else
#define XMIN (RUNS(1) -> 1 : (RUNS(2) -> 2 : (RUNS(3) -> 3 : begun + 1)))
#endif
#ifdef M_HORIZON_OF_PENDING
#define HORIZON XMIN
#else
#define HORIZON (pending && row_xid < XMIN -> row_xid : XMIN)
#endif

/* --- what happens in the world ---------------------------------------------------------------- */

inline commit(xid) {
  d_step {
    RUNS(xid) -> running = running & ~BIT(xid);
    db++; row_xid = xid; pending = true; replied = 0
#ifdef M_HORIZON_OF_RUNNING
    ; ended = (xid > ended -> xid : ended)
#endif
  }
}

/* Version t comes to server s, as a value or an invalidation. */
inline deliver(s, t) {
  d_step {
    db >= t && servers >= s ->
    if
    :: kind[s] == VALUE && ver[s] < t -> value(s, t)
    :: else -> raise(s, t)
    fi;
    replied = (t == db && pending -> replied | BIT(s) : replied)
  }
}
inline deliver_invalidation(s, t) {
  d_step {
    db >= t && servers >= s && kind[s] == VALUE && ver[s] < t -> place(s, t);
    replied = (t == db && pending -> replied | BIT(s) : replied)
  }
}

/* Data is lost: server "to" has, from now on, what server "from" has at this moment. */
inline lose(from, to) {
  d_step {
    from <= servers && (to == servers + 1 || to <= servers && gen[to] + 1 < GENERATIONS) ->
    if
    :: to > servers -> servers++
    :: else -> gen[to]++
    fi;
    kind[to] = kind[from]; ver[to] = ver[from]; tok[to] = tok[from]; canary[to] = canary[from];
    forget()
  }
}

/* A loader takes a ticket and reads the row. It may take the ticket and read later: but then, if any server still has
   the ticket's placeholder, this is as good, and if none has, the ticket is worth nothing. */
inline load(s) {
  d_step {
    held == 0 && servers >= s && kind[s] != VALUE ->
    if
    :: kind[s] == ABSENT -> place(s, 0)
    :: else
    fi;
    held = tok[s]; loaded = db
  }
}
inline fill(s) {
  d_step {
    held != 0 && kind[s] == PLACE && tok[s] == held && loaded >= ver[s] ->
    kind[s] = VALUE; ver[s] = loaded; tok[s] = 0; held = 0; loaded = 0
  }
}

proctype world() {
end:
  do
  :: d_step { begun < TXS -> begun++; running = running | BIT(begun) }
  :: commit(1)
  :: commit(2)
  :: deliver(1, 1)
  :: deliver(1, 2)
  :: deliver(2, 1)
  :: deliver(2, 2)
  :: deliver_invalidation(1, 1)
  :: deliver_invalidation(1, 2)
  :: deliver_invalidation(2, 1)
  :: deliver_invalidation(2, 2)
  :: lose(1, 2)
#if LOADER
  :: load(1)
  :: load(2)
  :: fill(1)
  :: fill(2)
  :: d_step { held != 0 -> held = 0; loaded = 0 }
#endif
#if DROPS
  :: d_step { kind[1] != ABSENT -> absent(1) }
  :: d_step { kind[2] != ABSENT -> absent(2) }
  :: d_step { canary[1] != 0 -> canary[1] = 0 }
  :: d_step { canary[2] != 0 -> canary[2] = 0 }
#endif
#if TXS > 2
  :: commit(3)
  :: deliver(1, 3)
  :: deliver(2, 3)
  :: deliver_invalidation(1, 3)
  :: deliver_invalidation(2, 3)
#endif
#if SERVERS > 2
  :: deliver(3, 1)
  :: deliver(3, 2)
  :: deliver_invalidation(3, 1)
  :: deliver_invalidation(3, 2)
  :: lose(1, 3)
  :: lose(2, 3)
#if LOADER
  :: load(3)
  :: fill(3)
#endif
#if DROPS
  :: d_step { kind[3] != ABSENT -> absent(3) }
  :: d_step { canary[3] != 0 -> canary[3] = 0 }
#endif
#endif
#if GENERATIONS > 1
  :: lose(2, 1)
#endif

  /* the statement that retires the record */
#ifdef M_RETIRE_COMPARES
  :: d_step { pending && replied != 0 -> pending = false; replied = 0 }
#else
  :: d_step { pending && (replied & BIT(server) || server == 0 && replied != 0) -> pending = false; replied = 0 }
#endif
  od
}

/* --- the guardian ----------------------------------------------------------------------------- */

#ifdef M_CANARY_WHILE_IN_DOUBT
#define SOUND true
#else
#define SOUND (repair_from == NONE)
#endif

proctype beat() {
  byte x, s, g;
end:
  do
#if defined(M_RECORD_THEN_HORIZON)
  :: d_step { server != 0 && SOUND -> s = server; g = server_gen }
     d_step { x = HORIZON }
#elif defined(M_HORIZON_THEN_RECORD)
  :: d_step { x = HORIZON }
     d_step { server != 0 && SOUND -> s = server; g = server_gen }
#else
  :: d_step { server != 0 && SOUND -> x = HORIZON; s = server; g = server_gen }
#endif
     if
#ifdef M_CANARY_IDENTITY
     :: atomic { canary[1] = x; x = 0; s = 0; g = 0 }
     :: atomic { servers == 2 -> canary[2] = x; x = 0; s = 0; g = 0 }
#elif defined(M_CANARY_REPL_ID)
     :: d_step { canary[s] = x; x = 0; s = 0; g = 0 }
#else
     :: d_step { gen[s] == g -> canary[s] = x; x = 0; s = 0; g = 0 }
#endif
     :: d_step { x = 0; s = 0; g = 0 } /* refused: it came to another server */
     fi
  od
}

#ifdef M_REGISTER_TERM
#define MAY_REGISTER true
#else
#define MAY_REGISTER (office == me)
#endif
/* The end of a repair compares the number of the doubt. It is a flag here: whether the doubt that a guardian took up is
   still the one on record. */
#ifdef M_REPAIR_OF_ONE_DOUBT
#define SAME_DOUBT (server == s && server_gen == g && repair_from == x)
#else
#define SAME_DOUBT same[me]
#endif

inline look(at) {
  d_step { servers >= at && MAY_REGISTER -> s = at; g = gen[at]; x = canary[at] }
}

/* Its own steps are in order. The rows are read later than the record, but in between only it could change that. */
proctype guardian(byte me) {
  byte s, g;                     /* the server it deals with */
  byte x = NONE;                 /* the canary found there; what to repair from */
  byte v; bool doubt;            /* the key's row, and whether it is among those to repair */
end:
  do
#if GUARDIANS > 1
  :: d_step { office != me -> office = me }
#endif

  /* look, then register */
  :: atomic {
       if
       :: look(1)
       :: look(2)
#if SERVERS > 2
       :: look(3)
#endif
       fi
     }
#ifdef M_ROWS_AFTER_REGISTER
     d_step { v = db; doubt = row_xid >= x }
#endif
     d_step {
       if
       :: MAY_REGISTER ->
          server = s; server_gen = g;
          same[1] = false;
#if GUARDIANS > 1
          same[2] = false;
#endif
#ifdef M_REPAIR_FROM_LEAST
          repair_from = x
#else
          if
          :: x < repair_from -> repair_from = x
          :: else
          fi
#endif
       :: else
       fi;
#ifndef M_ROWS_AFTER_REGISTER
       s = 0; g = 0; x = NONE
#else
       x = repair_from; same[me] = true
#endif
     }
#ifdef M_ROWS_AFTER_REGISTER
     goto repair;
#endif

  /* repair what is in doubt; whoever takes office does it too */
  :: d_step {
       office == me && repair_from != NONE -> s = server; g = server_gen; x = repair_from; same[me] = true;
       v = db; doubt = row_xid >= x
     }
#ifdef M_ROWS_AFTER_REGISTER
repair:
#endif
#ifndef M_REPAIR
     if
#ifdef M_REPAIR_IDENTITY
     :: d_step { if :: doubt -> invalidate(1, v) :: else fi }
     :: d_step { servers >= 2 -> if :: doubt -> invalidate(2, v) :: else fi }
#else
     :: d_step { gen[s] == g -> if :: doubt -> invalidate(s, v) :: else fi }
#endif
     :: goto over /* the reply was another server's, or none */
     fi;
#endif
     d_step {
       if
       :: repair_from != NONE && SAME_DOUBT -> repair_from = NONE
       :: else
       fi
     }
over:
     atomic { s = 0; g = 0; x = NONE; v = 0; doubt = false; same[me] = false }
#ifdef M_REPAIR_FROM_KEPT
  /* it dies, and what it knew to be in doubt with it */
  :: d_step { repair_from != NONE -> repair_from = NONE }
#endif
  od
}

#define RECORDED (server != 0 && server_gen == gen[server] && repair_from == NONE)
#define SETTLED  (!RECORDED || pending || kind[server] != VALUE || ver[server] == db)
#define BOUND    (ver[1] <= db && ver[2] <= db && ver[SERVERS] <= db)

proctype monitor() {
end:
  if
  :: atomic { !SETTLED -> assert(SETTLED) }
  :: atomic { !BOUND -> assert(BOUND) }
  fi
}

init {
  byte k;
  atomic {
    kind[1] = VALUE;
    run monitor(); run world();
    for (k : 1 .. BEATS) { run beat() }
    for (k : 1 .. GUARDIANS) { run guardian(k) }
    k = 0
  }
}
