// Charts of the last 15 minutes: a curve for the eye, a table of minutes for everybody else.

import { $, el, svg, say, clock } from './dom.js';

const window15 = 15 * 60 * 1000;
const width = 900;
const height = 84;
const gap = 5000; // what lies between two samples further apart is not known

const shortest = 60 * 1000; // a relay that has just begun has little to show

// A frame is what is drawn: all that there is of the last 15 minutes.
const x = (t, frame) => (t - frame.from) * width / (frame.end - frame.from);

export function frameOf(samples) {
  const end = samples.at(-1).t;
  while (samples[0].t < end - window15) samples.shift();
  return { from: Math.min(samples[0].t, end - shortest), end };
}

// ceiling is a round number that is not below n.
function ceiling(n) {
  const unit = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 2.5, 5, 10].map(f => f * unit).find(c => c >= n * 0.999);
}

class Chart {
  // spec: name, about(samples) → text, value(sample) → number or undefined, say(number) → text, least: what the scale reaches at least, most: at most.
  constructor(spec, parent) {
    this.spec = spec;
    this.samples = [];
    this.value = el('span', { class: 'value' }, '–');
    this.about = el('p', { class: 'about' });
    this.most = el('span', { class: 'most', 'aria-hidden': 'true' });
    this.reading = el('span', { class: 'least', 'aria-hidden': 'true' });
    this.area = svg('path', { class: 'area' });
    this.curve = svg('path', { class: 'curve' });
    this.hair = svg('path', { class: 'hair' });
    this.svg = svg('svg', { role: 'img', viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none' },
      svg('path', { class: 'base', d: `M0 ${height}H${width}M0 .5H${width}` }), this.area, this.curve, this.hair);
    this.body = el('tbody');
    this.details = el('details', {}, el('summary', {}, 'As a table', el('span', { class: 'hidden' }, `: ${spec.name}`)),
      el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `${spec.name}, by minute` }, el('table', {},
        el('thead', {}, el('tr', {}, ...['Minute', 'Mean', 'Most'].map(h => el('th', { scope: 'col' }, h)))), this.body)));
    parent.append(el('figure', { class: 'chart' },
      el('figcaption', {}, el('span', { class: 'name' }, spec.name), this.value), this.about,
      el('div', { class: 'plot' }, this.most, this.reading, this.svg), this.details));
    this.details.addEventListener('toggle', () => this.table());
    this.svg.addEventListener('pointermove', e => this.point(e));
    this.svg.addEventListener('pointerleave', () => { this.at = undefined; this.read(); });
  }

  draw(samples, frame) {
    this.samples = samples;
    this.frame = frame;
    const points = samples.map(s => [s.t, this.spec.value(s)]);
    const known = points.filter(p => p[1] !== undefined);
    const top = known.reduce((m, p) => Math.max(m, p[1]), 0);
    this.top = this.spec.most || ceiling(Math.max(top, this.spec.least));
    const y = v => height - v * (height - 2) / this.top;
    let line = '', area = '', last, run = [];
    const finish = () => {
      if (run.length) area += `M${run[0][0]} ${height}L${run.map(p => p.join(' ')).join('L')}L${run.at(-1)[0]} ${height}Z`;
      run = [];
    };
    for (const [t, v] of points) {
      if (v === undefined || last !== undefined && t - last > gap) finish();
      if (v === undefined) continue;
      const p = [x(t, frame).toFixed(1), y(v).toFixed(1)];
      line += (run.length ? 'L' : 'M') + p.join(' ');
      run.push(p);
      last = t;
    }
    finish();
    this.curve.setAttribute('d', line);
    this.area.setAttribute('d', area);
    const now = samples.length ? this.spec.value(samples.at(-1)) : undefined;
    say(this.value, now === undefined ? 'not known' : this.spec.say(now));
    this.value.classList.toggle('quiet', now === undefined);
    say(this.about, this.spec.about(samples));
    say(this.most, this.spec.say(this.top));
    this.svg.setAttribute('aria-label', known.length
      ? `${this.spec.name}: ${now === undefined ? 'not known now' : 'now ' + this.spec.say(now)}, at most ${this.spec.say(top)} in the time shown` : `${this.spec.name}: not known`);
    this.read();
    if (this.details.open && samples.length % 5 === 0) this.table();
  }

  point(e) {
    const box = this.svg.getBoundingClientRect();
    this.at = (e.clientX - box.left) / box.width;
    this.read();
  }

  // read says the value under the pointer.
  read() {
    const t = this.frame.from + (this.frame.end - this.frame.from) * this.at;
    const s = this.at === undefined ? undefined
      : this.samples.reduce((best, s) => best && Math.abs(best.t - t) <= Math.abs(s.t - t) ? best : s, undefined);
    if (!s || Math.abs(s.t - t) > gap) {
      this.hair.setAttribute('d', '');
      say(this.reading, '');
      return;
    }
    const v = this.spec.value(s);
    this.hair.setAttribute('d', `M${x(s.t, this.frame)} 0V${height}`);
    say(this.reading, `${clock(s.t)}  ${v === undefined ? 'not known' : this.spec.say(v)}`);
  }

  table() {
    if (!this.details.open) return;
    const minutes = new Map();
    for (const s of this.samples) {
      const m = Math.floor(s.t / 60000);
      if (!minutes.has(m)) minutes.set(m, []);
      minutes.get(m).push(this.spec.value(s));
    }
    this.body.replaceChildren(...[...minutes].reverse().map(([m, all]) => {
      const known = all.filter(v => v !== undefined);
      const cells = known.length ? [known.reduce((a, b) => a + b, 0) / known.length, Math.max(...known)].map(this.spec.say) : ['not known', ''];
      return el('tr', {}, el('th', { scope: 'row' }, clock(m * 60000).slice(0, 5)), ...cells.map(c => el('td', {}, c)));
    }));
  }
}

export const charts = (specs, parent) => specs.map(spec => new Chart(spec, parent));

const words = { good: 'trusted', warn: 'not trusted', bad: 'down', unknown: 'not known' };

// ribbon draws the state as a band, and returns the share of the time that was good.
export function ribbon(samples, frame) {
  const bands = [];
  samples.forEach((s, i) => {
    const until = i + 1 < samples.length ? Math.min(samples[i + 1].t, s.t + gap) : s.t + 1000;
    const last = bands.at(-1);
    if (last && last.level === s.level && s.t - last.until <= 500) last.until = until;
    else bands.push({ level: s.level, from: s.t, until });
  });
  $('ribbon').replaceChildren(...bands.map(b => svg('rect',
    { class: 'band-' + b.level, x: x(b.from, frame).toFixed(1), y: 0, height: 10, width: Math.max(1.5, (b.until - b.from) * width / (frame.end - frame.from)).toFixed(1) })));
  const time = level => bands.reduce((sum, b) => sum + (!level || b.level === level ? b.until - b.from : 0), 0);
  $('ribbon').setAttribute('aria-label', 'Of the time seen: ' + Object.keys(words).filter(time)
    .map(level => `${words[level]} ${Math.round(100 * time(level) / time())} %`).join(', '));
  return time() ? time('good') / time() : undefined;
}
