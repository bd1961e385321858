// The page: follows the relay's events and shows the last state. Without news it says so instead of showing an old state as if it were of now.

import { $, el, svg, say, list, count, brief, percent, span, clock, mark, tag, bytes } from './dom.js';
import { charts, ribbon, frameOf } from './charts.js';
import { admin, begin, retry } from './admin.js';

const silence = 6000; // without news for so long, nothing is known

const sum = (samples, of) => samples.reduce((total, s) => total + (of(s) ?? 0), 0);
const lookups = s => s.hits === undefined ? undefined : s.hits + s.misses;
const ratio = s => lookups(s) ? s.hits / lookups(s) : undefined;
const per = n => brief(n) + ' /s';

const drawn = charts([
  { name: 'Writes', least: 1, say: per, value: s => s.writes,
    about: all => `Versions drawn by all writers; ${count(sum(all, s => s.writes))} in all.` },
  { name: 'Lookups in Valkey', least: 1, say: per, value: lookups,
    about: () => 'As the server counts them: those of all programs, writers and relays among them.' },
  { name: 'Hit ratio', least: 1, most: 1, say: percent, value: ratio,
    about: all => {
      const hits = sum(all, s => s.hits), misses = sum(all, s => s.misses);
      return hits + misses ? `Of those lookups; ${percent(hits / (hits + misses))} over all the time shown.` : 'Of those lookups.';
    } },
  { name: 'Pending', least: 1, say: brief, value: s => s.pending,
    about: all => {
      const oldest = all.at(-1)?.oldest;
      return 'Committed, not known to be in the cache' + (oldest && all.at(-1)?.pending ? `; the oldest for ${span(oldest)}.` : '.');
    } },
  { name: 'Settled within', least: 0.5, say: span, value: s => s.behind,
    about: () => 'What was committed longer ago than this is in the cache.' },
  { name: 'Deferred', least: 1, say: per, value: s => s.deferred,
    about: all => `Records that a relay had to bring; ${count(sum(all, s => s.deferred))} in all` +
      (sum(all, s => s.released) >= 1 ? `, given back ${count(sum(all, s => s.released))} times.` : '.') },
], $('charts'));

const seals = {
  good: 'M15 24.500l6.5 6.5 12-13.5', warn: 'M24 14v12M24 32.500v.2', bad: 'M17 17l14 14M31 17l-14 14', unknown: 'M19.5 19.500c.5-5.5 9-5.5 9 0 0 3.5-4.5 3.5-4.5 7.500M24 33v.2',
};

let samples = [];
let heardAt = 0;
let news = false;

function hero(v) {
  document.body.dataset.level = v.level;
  $('seal').setAttribute('d', seals[v.level] || seals.unknown);
  say($('word'), v.word);
  say($('text'), v.text);
  say($('why'), v.why ? 'Why: ' + v.why : '');
  $('why').hidden = !v.why;
  document.title = v.word + ' · Tidelock';
}

function facts(state, at) {
  say($('since'), span(Math.max(1, Math.round((at - state.verdict.since) / 1000))));
  const guardian = state.relays.find(r => r.guardian);
  say($('guardian'), state.phase ? `${guardian ? guardian.name : 'a relay'}, term ${state.term}` : state.postgres ? 'not known' : 'nobody');
  say($('breaker'), state.breaker);
  const down = [state.postgres && 'Postgres', state.valkey && 'Valkey', !state.nats && 'NATS'].filter(Boolean);
  say($('reach'), down.length ? down.join(', ') + ' down' : 'all answer');
}

const row = cells => () => el('tr', {}, ...cells.map(c => el('td', { class: c })));
const fill = (td, ...children) => td.replaceChildren(...children);

function relays(all) {
  const total = all.reduce((n, r) => n + r.settled, 0);
  list($('relays'), all, r => r.id, row(['', 'number', '']), (tr, r) => {
    fill(tr.cells[0], r.name + ' ', ...[r.guardian && tag('unknown', 'guardian'), r.self && all.length > 1 && tag('unknown', 'this one')].filter(Boolean).flatMap(t => [t, ' ']));
    say(tr.cells[1], count(r.settled));
    const part = total ? r.settled / total : 0;
    fill(tr.cells[2], svg('svg', { class: 'bar', viewBox: '0 0 100 8', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
      svg('rect', { width: 100 * part, height: 8 })), total ? Math.round(100 * part) + ' %' : '–');
  });
}

function servers(all, at) {
  list($('servers'), all, s => s.shard + s.run_id, row(['run', '', '']), (tr, s) => {
    say(tr.cells[0], (s.shard ? s.shard.slice(0, 8) + ' / ' : '') + s.run_id.slice(0, 12));
    say(tr.cells[1], span((at - s.since) / 1000));
    const text = s.doubt ? `repairing, ${count(s.looked)} keys so far` : s.repaired ? `good; repaired at ${clock(s.repaired)}` : 'good';
    if (tr.cells[2].textContent !== text) fill(tr.cells[2], tag(s.doubt ? 'warn' : 'good', text));
  });
}

// nines says a share as people say it: 99.98 % are 3.7 nines.
function nines(s) {
  if (!s || !s.judged) return '–';
  if (!s.late) return '100 %';
  const n = Math.log10(s.judged / s.late);
  return `${(100 - 100 * s.late / s.judged).toFixed(Math.max(2, Math.floor(n)))} % (${n.toFixed(1)} nines)`;
}

function audit(a, at) {
  if (!a || audit.shown === a.at) return;
  audit.shown = a.at;
  const head = el('tr', {}, ...['Consistent within', 'Keys', 'Writes'].map(h => el('th', { scope: 'col' }, h)));
  const rows = a.keys.map((k, i) => el('tr', {}, el('td', {}, span(k.within_ns / 1e9)), el('td', {}, nines(k)), el('td', {}, nines(a.writes[i]))));
  const judged = a.keys[0]?.judged ?? 0;
  fill($('audit'), el('p', { class: 'note' }, `At ${clock(a.at)} the guardian compared ${count(judged)} keys with Postgres; ${count(a.held)} were in the cache. `,
    a.values ? `${count(a.values)} entries were compared with their rows. ` : '',
    a.differing ? tag('bad', `${count(a.differing)} differ with nothing to mend them`) : tag('good', 'none differs')),
  el('div', { class: 'scroll' }, el('table', {}, el('thead', {}, head), el('tbody', {}, ...rows))));
}

function records(state, at) {
  const all = state.records;
  const waiting = state.postgres ? 'Postgres does not answer; this is what it said last. ' : '';
  say($('records-note'), waiting + (all.length ? `${count(state.pending)} pending, ${count(state.aside)} set aside for you.` : 'Nothing waits for longer than a moment, and nothing was set aside.'));
  $('records-table').hidden = !all.length;
  $('retry-all').hidden = !admin() || !all.some(r => r.aside);
  list($('records'), all, r => r.version, r => {
    const tr = row(['key', 'number', '', 'number', 'number', 'number', '', ''])();
    [r.key, r.version, r.kind, bytes(r.size)].forEach((text, i) => say(tr.cells[i], text));
    const button = el('button', { type: 'button', 'aria-label': `Retry ${r.key}, version ${r.version}` }, 'Retry');
    button.addEventListener('click', () => retry([r.version]));
    tr.cells[7].append(button);
    return tr;
  }, (tr, r) => {
    say(tr.cells[4], span(Math.max(0, at - r.created) / 1000));
    say(tr.cells[5], String(r.attempts));
    const text = r.aside ? 'set aside' + r.aside : 'pending';
    if (tr.cells[6].textContent !== text) {
      fill(tr.cells[6], ...r.aside ? [tag('bad', 'set aside'), el('span', { class: 'aside' }, r.aside)] : [tag('unknown', 'pending')]);
    }
    tr.cells[7].firstChild.hidden = !r.aside || !admin();
  });
}

function timeline(events) {
  list($('timeline'), [...events].sort((a, b) => b.at - a.at), e => e.at + e.kind + e.text, e =>
    el('li', {}, el('time', { datetime: new Date(e.at).toISOString() }, clock(e.at)), mark(e.level), el('span', {}, e.text)));
}

function show({ sample, state }) {
  samples.push(sample);
  const frame = frameOf(samples);
  hero(state.verdict);
  facts(state, sample.t);
  drawn.forEach(c => c.draw(samples, frame));
  const good = ribbon(samples, frame);
  say($('from'), span((frame.end - frame.from) / 1000) + ' ago');
  say($('share'), good === undefined ? '' : `trusted ${percent(good)} of the time seen`);
  relays(state.relays);
  servers(state.servers, sample.t);
  audit(state.audit, sample.t);
  records(state, sample.t);
  document.querySelectorAll('#buttons button').forEach(b => b.setAttribute('aria-disabled', String(!state.actions.includes(b.dataset.name))));
}

function live(on, text) {
  $('live').dataset.on = on ? 'yes' : 'no';
  say($('live-text'), text);
}

const source = new EventSource('dashboard/events');
const on = (name, then) => source.addEventListener(name, e => {
  heardAt = Date.now();
  news = true;
  live(true, 'live');
  then(JSON.parse(e.data));
});
on('past', past => {
  samples = past.samples;
  say($('relay'), past.name);
  timeline(past.timeline);
  begin(past);
});
on('now', show);
on('timeline', timeline);
source.addEventListener('error', () => live(false, 'no connection to the relay, trying again'));

setInterval(() => {
  if (!news || Date.now() - heardAt < silence) return;
  news = false;
  live(false, 'no news from the relay');
  hero({ level: 'unknown', word: 'No news', text: 'This page does not hear from its relay, so it does not know. Another relay’s page may.' });
}, 500);
