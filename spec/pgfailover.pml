/* Postgres loses commits: a standby is promoted that had not received the last of them, or a backup is restored. The
   cache has seen their versions, and the sequence goes back. One key; protocol.pml has the rules of the entry.

   Modelled
   - The first history: transactions draw a version, then commit or end without; the guardian's safe_version follows
     what has ended. At some moment the standby receives no more (the cut); the first primary goes on. Then the standby
     is promoted, with the rows, the record, the sequence and the guardian's row that it had at the cut.
   - The second history: transactions; the guardian notes the move (safe_version to drop above, the sequence jumps),
     then drops every entry above it, then says that the cache is good again. Writers do not wait for it.
   - Deliveries of committed versions of both histories, as values or invalidations, any number of times; a loader;
     drops of the entry.
   - What is under way from the first history, a delivery of a lost commit or a load that read one, may come at any time
     before the drop. -DLATE: also after it.

   Not modelled: two primaries at once, a second move, a cache that loses data at the same time (repair.pml).

   Properties
   settled  once the guardian has said that the cache is good and the latest version's record is retired, the cache
            holds neither an older value nor one that was lost                                      (not with LATE)
   bound    ... and no placeholder asks for a version that does not exist                           (not with LATE)
   healed   the same as settled, LATE or not, from the key's first write after the jump on
   (-DNO_BOUND leaves bound out, to see what else breaks.)

   A known limit: with LATE, a lost value may come back until the key is written next (-DM_NOTHING_LATE demands
   settled all the same, and fails). -DLOST_IS_MISS shows what would close it without a clock: readers who take an
   entry with a version between safe_version and the jump for a miss.

   Each mutant, -DM_..., is the design without one rule; the file runs has the list. */

#ifdef M_NOTHING_LATE
#define LATE
#endif
#ifdef LOST_IS_MISS
#define LATE
#endif

#define ABSENT 0
#define PLACE  1
#define VALUE  2

#define OLD 2                    /* versions of the first history, 1 to OLD */
#define JUMP 5                   /* what the sequence jumps to: more than either history draws before the jump */
#define NEW 2                    /* versions of the second history */

/* how far the database is */
#define FIRST 0
#define CUT   1
#define SECOND 2
byte phase = FIRST;
bool moved = false, swept = false, good = false; /* what the guardian has done about it */

/* The first history. */
byte drawn = 0, db = 0;
byte committed = 0;              /* the versions whose transactions did commit, as a set */
bool open = false;               /* whether the transaction that drew the last version still runs */
byte safe = 0;                   /* the guardian's safe_version */
bool pending = false;

/* The standby from the cut on. A version of the second history is not the first's of the same number: here says which. */
byte base = 0;                   /* the latest version that was not lost */
byte seq = 0, row = 0, made = 0;
bool here = false;               /* whether row is of the second history */
bool kept = false;               /* the record of row */
byte kept_safe = 0;

/* The cache, and a loader. */
byte kind = ABSENT, ver = 0;
bool second = false;             /* which history a value is of */
bool held = false;               /* the loader has the ticket of the placeholder that is there */
byte loaded = 0; bool loaded_second = false, loads = false;

inline clear() { kind = ABSENT; ver = 0; second = false; held = false }
inline place(bound) { kind = PLACE; ver = bound; second = false; held = false }
inline value(version, history) { kind = VALUE; ver = version; second = history; held = false }

/* apply without a ticket, or with INVALIDATION true an invalidation */
inline apply(version, history, invalidation) {
  if
  :: kind == VALUE && ver < version && !invalidation -> value(version, history)
  :: kind == VALUE && ver < version && invalidation -> place(version)
  :: kind == PLACE && ver < version -> ver = version
  :: else
  fi
}

#ifdef LATE
#define MAY_COME(version) true
#else
#define MAY_COME(version) (version <= base || phase != SECOND || !swept)
#endif

inline deliver(version, invalidation) {
  d_step {
    (committed & (1 << version)) && MAY_COME(version) -> apply(version, false, invalidation);
    pending = pending && version != db;
    kept = kept && (phase != SECOND || here || version != row)
  }
}
inline deliver_latest(invalidation) {
  d_step {
    phase == SECOND && here -> apply(row, true, invalidation);
    kept = false
  }
}

#ifdef M_SAFE_HAS_ENDED
#define ENDED drawn
#else
#define ENDED (open -> drawn - 1 : drawn)
#endif

proctype world() {
end:
  do
  /* the first history */
  :: d_step { phase != SECOND && !open && drawn < OLD -> drawn++; open = true }
  :: d_step { phase != SECOND && open -> db = drawn; committed = committed | (1 << drawn); open = false; pending = true }
  :: d_step { phase != SECOND && open -> open = false }
  :: d_step { phase != SECOND && safe < ENDED -> safe = ENDED }
  :: d_step { phase == FIRST -> phase = CUT; base = db; row = db; seq = drawn; kept = pending; kept_safe = safe }
  :: d_step { phase == CUT -> phase = SECOND }

  /* the second */
  :: d_step { phase == SECOND && made < NEW -> made++; seq++; row = seq; here = true; kept = true }
#ifdef M_SAFE_OF_ONE_HISTORY
  :: d_step { phase == SECOND && !moved && kept_safe < seq -> kept_safe = seq }
#endif
  :: d_step {
       phase == SECOND && !moved -> moved = true;
#ifndef M_JUMP
       seq = seq + JUMP
#endif
     }
  :: d_step {
       moved && !swept ->
#ifndef M_DROP
       if
#ifdef M_DROP_PLACEHOLDERS
       :: kind == VALUE && ver > kept_safe -> clear()
#else
       :: kind != ABSENT && ver > kept_safe -> clear()
#endif
       :: else
       fi;
#endif
#ifndef LATE
       if
       :: loads && !loaded_second && loaded > base -> loads = false; held = false; loaded = 0
       :: else
       fi;
#endif
       swept = true
     }
  :: d_step { swept && !good -> good = true }

  /* deliveries */
  :: deliver(1, false)
  :: deliver(2, false)
  :: deliver(1, true)
  :: deliver(2, true)
  :: deliver_latest(false)
  :: deliver_latest(true)

  /* the loader: ticket and read, of the primary of that time; fill */
  :: d_step {
       !loads && kind != VALUE ->
       if
       :: kind == ABSENT -> place(0)
       :: else
       fi;
       loads = true; held = true;
       loaded = (phase == SECOND -> row : db);
       loaded_second = phase == SECOND && here
     }
  :: d_step {
       loads ->
       if
       :: kind == PLACE && held && loaded >= ver || kind == VALUE && loaded > ver -> value(loaded, loaded_second)
       :: else
       fi;
       loads = false; held = false; loaded = 0; loaded_second = false
     }
  :: d_step { kind != ABSENT -> clear() }
  od
}

#ifdef LOST_IS_MISS
#define SERVED (kind == VALUE && !(ver > kept_safe && ver <= JUMP))
#else
#define SERVED (kind == VALUE)
#endif
#define RIGHT  (kept || !SERVED || ver == row && second == here)
#if defined(LATE) && !defined(M_NOTHING_LATE) && !defined(LOST_IS_MISS)
#define SETTLED true
#else
#define SETTLED (!good || RIGHT)
#endif
#if defined(LATE) || defined(NO_BOUND)
#define BOUND true
#else
#define BOUND (!good || kind != PLACE || ver <= row)
#endif
#ifdef M_JUMP
#define HEALED (!good || made == 0 || RIGHT)
#else
#define HEALED (!good || row <= JUMP || RIGHT)
#endif

proctype monitor() {
end:
  if
  :: atomic { !SETTLED -> assert(SETTLED) }
  :: atomic { !BOUND -> assert(BOUND) }
  :: atomic { !HEALED -> assert(HEALED) }
  fi
}

init { atomic { run monitor(); run world() } }
