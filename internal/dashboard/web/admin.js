// What is the administrator's: retrying records, looking at keys, and the buttons of a private stack.

import { $, el, say, clock, span, bytes, tag } from './dom.js';

const place = 'tidelock-admin-token';
let kind = 'none'; // open: nobody needs a token; token; none: there is no administrator

export const admin = () => kind === 'open' || kind === 'token' && sessionStorage.getItem(place) !== null;

// call asks the relay, and throws what it says is wrong.
async function call(method, path, body) {
  const headers = { 'Content-Type': 'application/json' };
  const token = sessionStorage.getItem(place);
  if (token !== null) headers.Authorization = 'Bearer ' + token;
  const response = await fetch('dashboard/' + path, { method, headers, body: body && JSON.stringify(body) });
  const answer = await response.json();
  if (response.ok) return answer;
  if (response.status === 401) {
    sessionStorage.removeItem(place);
    turn();
  }
  throw new Error(answer.error);
}

// attempt says beside what was done how it went.
async function attempt(where, doing, done) {
  where.dataset.level = '';
  try {
    say(where, done(await doing()));
  } catch (e) {
    where.dataset.level = 'bad';
    say(where, 'That failed: ' + e.message + '.');
  }
}

// turn shows what an administrator may use, and else asks for the token.
function turn() {
  $('inspector').hidden = !admin();
  $('token').hidden = kind !== 'token' || admin();
  $('forget').hidden = kind !== 'token' || !admin();
  $('actions').hidden = !admin() || !$('buttons').children.length;
}

// begin takes in what the relay's page offers.
export function begin(past) {
  kind = past.admin;
  if ($('buttons').children.length !== past.actions.length) {
    $('buttons').replaceChildren(...past.actions.map(a => {
      const b = el('button', { type: 'button', 'data-name': a.name, 'aria-disabled': 'true' }, a.label);
      b.addEventListener('click', () => b.getAttribute('aria-disabled') === 'true' ||
        attempt($('action-outcome'), () => call('POST', 'action/' + a.name), () => `Done at ${clock(Date.now())}: ${a.label}.`));
      return b;
    }));
  }
  turn();
}

export const retry = versions => attempt($('retry-outcome'), () => call('POST', 'retry', { versions }),
  answer => answer.retried === 1 ? 'One record is back in line.' : `${answer.retried} records are back in line.`);

$('retry-all').addEventListener('click', () =>
  retry([...$('records').children].filter(tr => !tr.querySelector('button').hidden).map(tr => tr.dataset.key)));

$('token-form').addEventListener('submit', e => {
  e.preventDefault();
  attempt($('token-outcome'), async () => {
    sessionStorage.setItem(place, $('token-input').value);
    await call('POST', 'admin');
    $('token-input').value = '';
    turn();
    $('key').focus();
  }, () => '');
});

$('forget').addEventListener('click', () => {
  sessionStorage.removeItem(place);
  turn();
  $('token-input').focus();
});

// The inspector looks again and again while a key is in it, and keeps what it has seen change.
let looking = 0;
let last = '';

const pairs = (dl, all) => dl.replaceChildren(...all.filter(p => p[1] !== undefined).map(([name, value]) =>
  el('div', {}, el('dt', {}, name), el('dd', {}, value))));

function sighting(s) {
  const verdict = s.verdict.split(':')[0];
  if ($('key-verdict').textContent !== s.verdict) {
    $('key-verdict').replaceChildren(tag(verdict === 'consistent' ? 'good' : verdict === 'unknown' ? 'unknown' : 'warn', verdict), s.verdict.slice(verdict.length));
  }
  const e = s.entry;
  if (s.cache_error) pairs($('entry'), [['Cache', s.cache_error]]);
  else if (!e) pairs($('entry'), [['Entry', 'nothing of Tidelock’s']]);
  else pairs($('entry'), [['Entry', e.kind], ['Version', e.version], ['Size', bytes(e.size)], ['Expires', 'in ' + span(e.ttl_ns / 1e9)]]);
  say($('payload'), e?.payload ?? '');
  const waiting = s.records.filter(r => !r.aside).length, aside = s.records.find(r => r.aside);
  pairs($('row'), [['Version', s.version === '0' ? 'never written, or long ago' : s.version],
    ['Records', s.records.length ? `${waiting} pending, ${s.records.length - waiting} set aside` : 'none waits'], ['Error', aside?.aside],
    ['Row', s.row_error ?? (s.row === undefined ? 'not known to a relay' : s.row === '' ? 'there is none' : undefined)]]);
  say($('row-text'), s.row ?? '');
  const seen = `cache ${s.cache_error ? 'does not answer' : e ? `${e.kind} ${e.version}` : 'nothing'}, Postgres ${s.version}` +
    (s.records.length ? `, ${s.records.length} records` : '');
  if (seen !== last) $('history').prepend(el('li', {}, el('time', {}, clock(Date.now())), seen));
  while ($('history').children.length > 50) $('history').lastChild.remove();
  last = seen;
}

async function look(key, turnOf) {
  if (turnOf !== looking || !admin()) return;
  if (!document.hidden) {
    await attempt($('key-outcome'), () => call('GET', 'key?key=' + encodeURIComponent(key)), s => {
      if (turnOf === looking) sighting(s);
      $('sighting').hidden = false;
      return '';
    });
  }
  setTimeout(() => look(key, turnOf), 1000);
}

$('key-form').addEventListener('submit', e => {
  e.preventDefault();
  last = '';
  $('history').replaceChildren();
  look($('key').value, ++looking);
});
