// Small tools: elements, and how numbers and times are said. Text from servers only ever becomes text.

export const $ = id => document.getElementById(id);

const make = space => (name, attributes = {}, ...children) => {
  const e = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  e.append(...children);
  return e;
};
export const el = make('');
export const svg = make('http://www.w3.org/2000/svg');

// say changes a text only if it is another one: a screen reader tells of changes, and a selection survives.
export function say(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

// list brings the children of a parent in line with items: one element a key, made once, so that the focus stays where it is.
export function list(parent, items, key, create, update) {
  const old = new Map([...parent.children].map(e => [e.dataset.key, e]));
  items.forEach((item, i) => {
    const k = String(key(item));
    let e = old.get(k);
    old.delete(k);
    if (!e) {
      e = create(item);
      e.dataset.key = k;
    }
    if (parent.children[i] !== e) parent.insertBefore(e, parent.children[i] || null);
    update?.(e, item);
  });
  old.forEach(e => e.remove());
}

const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
export const count = n => grouped.format(n);
export const brief = n => n >= 10000 ? short.format(n) : n >= 10 || n === Math.round(n) ? grouped.format(n) : n.toFixed(1);
export const percent = n => n >= 1 ? '100 %' : (Math.floor(n * 1000) / 10).toFixed(1) + ' %';
export const bytes = n => n < 1024 ? n + ' B' : n < 1 << 20 ? (n / 1024).toFixed(1) + ' KiB' : (n / (1 << 20)).toFixed(1) + ' MiB';

// span says a time in seconds.
export function span(s) {
  if (s < 0.0005) return '0 s';
  if (s < 1) return Math.round(s * 1000) + ' ms';
  if (s < 10) return (Number.isInteger(s) ? s : s.toFixed(1)) + ' s';
  if (s < 120) return Math.round(s) + ' s';
  if (s < 7200) return Math.floor(s / 60) + ' min';
  if (s < 172800) return Math.floor(s / 3600) + ' h ' + Math.floor(s % 3600 / 60) + ' min';
  return Math.floor(s / 86400) + ' days';
}

const clockFormat = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
export const clock = ms => clockFormat.format(new Date(ms));

const marks = {
  good: 'M5.5 9.3 8 11.8 12.6 6.6', warn: 'M9 5.2v4.600M9 12.600v.1', bad: 'M6.2 6.200l5.6 5.600M11.8 6.200l-5.6 5.6', unknown: 'M6 9h6',
};
// mark is the shape of a level, with its name for those who do not see it.
export function mark(level) {
  return svg('svg', { class: 'mark', 'data-level': level, viewBox: '0 0 18 18', role: 'img', 'aria-label': level === 'unknown' ? 'note' : level },
    svg('circle', { cx: 9, cy: 9, r: 7.5 }), svg('path', { d: marks[level] || marks.unknown }));
}

export const tag = (level, text) => el('span', { class: 'tag', 'data-level': level }, text);
