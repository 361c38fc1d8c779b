// @ts-check
/** @import { ContainerView } from '../view-container.js' */
/** @import { PodView } from '../view-pod.js' */
/** @import { EventView } from '../view-event.js' */
/** @import { StatusView } from '../view-status.js' */
/** @import { ExplanationView } from '../view-explanation.js' */
/** @import { Diagnosis } from '@crikit/metastore' */

/**
 * One line of the table.
 *
 * @typedef {object} Row
 * @property {string} key
 * @property {PodView} [pod]
 * @property {ContainerView} [container]
 * @property {string} [title] of a group that is no pod
 */

/** @type {Map<string, PodView>} by uid */
const pods = new Map();
/** @type {Map<string, ContainerView>} by key */
const containers = new Map();
/** What the server's clock is ahead of this one. */
let clockAheadMs = 0;
/** @type {string | undefined} */
let selectedKey;
/** @type {string | undefined} The row that Tab leads to. */
let currentKey;
/** @type {Set<string>} */
const changedKeys = new Set();
/** @type {Map<string, { element: HTMLTableRowElement, shown: unknown }>} */
const shownRows = new Map();

const filterBox = /** @type {HTMLInputElement} */ (find('filter'));
const sandboxesBox = /** @type {HTMLInputElement} */ (find('sandboxes'));
const endedBox = /** @type {HTMLInputElement} */ (find('ended'));
const rowsElement = find('rows');
const detailsElement = find('details');

/** @param {string} id */
function find(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`The page has no ${id}.`);
  return element;
}

/**
 * @param {string} tag
 * @param {Record<string, string> | null} [attributes]
 * @param {...(Node | string | undefined)} children
 */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

// --- the state, as the server tells it

/** @param {ContainerView} container */
function keyOf({ engineId, scope, id }) {
  return `${engineId}/${scope}/${id}`;
}

/** @param {EventView} event */
function apply(event) {
  if (event.type === 'resync') {
    pods.clear();
    containers.clear();
    for (const pod of event.pods ?? []) pods.set(pod.uid, pod);
    for (const container of event.containers ?? []) containers.set(keyOf(container), container);
    return;
  }
  const { pod, container } = event;
  if (pod !== undefined) {
    if (event.type === 'pod-removed') pods.delete(pod.uid);
    else pods.set(pod.uid, pod);
    changedKeys.add(pod.uid);
  }
  if (container !== undefined) {
    const key = keyOf(container);
    if (event.type === 'container-removed') containers.delete(key);
    else containers.set(key, container);
    if (event.type !== 'container-enriched') changedKeys.add(key);
  }
}

function follow() {
  const source = new EventSource('/api/v1/events');
  const types = [
    ...['resync', 'pod-added', 'pod-changed', 'pod-removed'],
    ...['container-added', 'container-changed', 'container-enriched', 'container-removed'],
  ];
  for (const type of types) {
    source.addEventListener(type, (message) => {
      apply(JSON.parse(message.data));
      draw();
    });
  }
  source.addEventListener('status', (message) => {
    const status = /** @type {StatusView} */ (JSON.parse(message.data));
    clockAheadMs = status.nowMs - Date.now();
    drawSources(status);
    void drawDiagnosis(status);
  });
  source.addEventListener('open', () => showLink('live', 'live'));
  source.addEventListener('error', () => {
    if (source.readyState === EventSource.CLOSED) {
      showLink('refused', 'the server refuses: open the address that it printed again');
    } else {
      showLink('connecting', 'connection lost, trying again');
    }
  });
}

/**
 * @param {'live' | 'connecting' | 'refused'} state
 * @param {string} text
 */
function showLink(state, text) {
  const link = find('link');
  link.dataset.state = state;
  link.textContent = text;
  document.body.toggleAttribute('data-stale', state !== 'live');
}

// --- what is shown of it

const roleOrder = ['biz', 'sidecar', 'init', 'ephemeral', 'sandbox'];
const runningStates = ['running', 'paused', 'restarting'];

/** @param {ContainerView} container */
function isEnded({ state }) {
  return !runningStates.includes(state.status);
}

/** @param {ContainerView} container */
function nameOf({ k8sName, name, role }) {
  return k8sName ?? (role === 'sandbox' ? 'sandbox' : name);
}

/** @returns {Row[]} */
function listRows() {
  const matches = parseFilter(filterBox.value);
  /** @type {Map<string, ContainerView[]>} */
  const byPod = new Map();
  for (const container of containers.values()) {
    const uid = container.podUid !== undefined && pods.has(container.podUid) ? container.podUid : '';
    const pod = pods.get(uid);
    const hidden = (container.role === 'sandbox' && !sandboxesBox.checked) || (isEnded(container) && !endedBox.checked);
    if (hidden || !matches(pod, container)) continue;
    const list = byPod.get(uid);
    if (list === undefined) byPod.set(uid, [container]);
    else list.push(container);
  }
  /** @type {Row[]} */
  const rows = [];
  const addContainers = (/** @type {ContainerView[]} */ list) => {
    list.sort(
      (one, other) =>
        Number(isEnded(one)) - Number(isEnded(other)) ||
        roleOrder.indexOf(one.role ?? '') - roleOrder.indexOf(other.role ?? '') ||
        nameOf(one).localeCompare(nameOf(other)) ||
        one.id.localeCompare(other.id),
    );
    for (const container of list) rows.push({ key: keyOf(container), container });
  };
  const sorted = [...pods.values()].sort(
    (one, other) =>
      one.namespace.localeCompare(other.namespace) ||
      one.name.localeCompare(other.name) ||
      one.uid.localeCompare(other.uid),
  );
  for (const pod of sorted) {
    const own = byPod.get(pod.uid);
    if (own === undefined && !matches(pod, undefined)) continue;
    rows.push({ key: pod.uid, pod });
    addContainers(own ?? []);
  }
  const alone = byPod.get('');
  if (alone !== undefined) {
    rows.push({ key: 'alone', title: 'Containers of no pod' });
    addContainers(alone);
  }
  return rows;
}

/**
 * Words that must all fit; `role:biz` looks at one thing only, `-word` must not fit.
 *
 * @param {string} text
 * @returns {(pod: PodView | undefined, container: ContainerView | undefined) => boolean}
 */
function parseFilter(text) {
  const terms = text
    .toLowerCase()
    .split(/\s+/)
    .filter((term) => term !== '' && term !== '-')
    .map((term) => {
      const negated = term.startsWith('-');
      const body = negated ? term.slice(1) : term;
      const colon = body.indexOf(':');
      const field = colon > 0 ? body.slice(0, colon) : '';
      return Object.hasOwn(fields, field)
        ? { negated, field, value: body.slice(colon + 1) }
        : { negated, field: undefined, value: body };
    });
  return (pod, container) =>
    terms.every(({ negated, field, value }) => {
      const searched = field === undefined ? Object.keys(fields) : [field];
      return (
        negated !== searched.some((name) => fields[name]?.(pod, container)?.toLowerCase().includes(value) === true)
      );
    });
}

/** @type {Record<string, (pod: PodView | undefined, container: ContainerView | undefined) => string | undefined>} */
const fields = {
  namespace: (pod) => pod?.namespace,
  ns: (pod) => pod?.namespace,
  pod: (pod) => pod && `${pod.namespace}/${pod.name}`,
  app: (pod) => pod?.app,
  ip: (pod) => pod?.ip,
  name: (_, container) => container && `${nameOf(container)} ${container.name}`,
  role: (_, container) => container?.role,
  status: (pod, container) => container?.state.status ?? pod?.phase,
  zone: (_, container) => container?.tz && `${container.tz.name} ${container.tz.zone}`,
  engine: (_, container) => container?.engineId,
  image: (_, container) => container?.image,
  id: (_, container) => container?.id,
};

let drawing = false;

/** At most once a frame, however many changes come. */
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawRows();
    drawDetails();
  });
}

function drawRows() {
  const rows = listRows();
  const wanted = new Set(rows.map(({ key }) => key));
  const hadFocus = document.activeElement?.closest('#rows') !== null && document.activeElement !== document.body;
  for (const [key, { element }] of shownRows) {
    if (wanted.has(key)) continue;
    element.remove();
    shownRows.delete(key);
  }
  if (currentKey === undefined || !wanted.has(currentKey)) currentKey = rows[0]?.key;
  let next = rowsElement.firstElementChild;
  for (const row of rows) {
    const element = elementOf(row);
    element.tabIndex = row.key === currentKey ? 0 : -1;
    element.setAttribute('aria-selected', String(row.key === selectedKey));
    if (element === next) next = next.nextElementSibling;
    else rowsElement.insertBefore(element, next);
  }
  changedKeys.clear();
  if (hadFocus && document.activeElement === document.body) focusRow(currentKey);

  const shownContainers = rows.filter(({ container }) => container !== undefined).length;
  const shownPods = rows.filter(({ pod }) => pod !== undefined).length;
  find('count').textContent =
    `${count(shownPods, 'pod')}, ${shownContainers} of ${count(containers.size, 'container')}`;
  const empty = find('empty');
  empty.hidden = rows.length > 0;
  empty.textContent =
    containers.size + pods.size === 0 ? 'There are no containers on this node yet.' : 'Nothing fits the filter.';
}

/** @param {Row} row */
function elementOf(row) {
  const data = row.pod ?? row.container ?? row.title;
  const known = shownRows.get(row.key);
  if (known !== undefined && known.shown === data) return known.element;
  const element = known?.element ?? /** @type {HTMLTableRowElement} */ (make('tr', { 'data-key': row.key }));
  if (row.pod !== undefined) fillPod(element, row.pod);
  else if (row.container !== undefined) fillContainer(element, row.container);
  else fillGroup(element, row.title ?? '');
  shownRows.set(row.key, { element, shown: data });
  if (changedKeys.has(row.key)) {
    element.classList.remove('changed');
    // Read, so that the animation begins anew.
    void element.offsetWidth;
    element.classList.add('changed');
  }
  return element;
}

/**
 * @param {HTMLTableRowElement} element
 * @param {PodView} pod
 */
function fillPod(element, pod) {
  element.className = 'pod';
  element.setAttribute('aria-level', '1');
  const { owner, diagnostics } = pod;
  const notes = [pod.ip, pod.app && `app ${pod.app}`].filter((note) => note !== undefined);
  const warning =
    diagnostics.length === 0
      ? undefined
      : make(
          'span',
          { class: 'warning', title: diagnostics.map(({ message }) => message).join('\n') },
          `${notes.length === 0 ? '' : ' · '}⚠ ${diagnostics.map(({ code }) => code).join(', ')}`,
        );
  element.replaceChildren(
    cell('name', make('span', { class: 'namespace' }, pod.namespace === '' ? '' : `${pod.namespace}/`), pod.name),
    cell('', owner === undefined ? '' : `${owner.kind} ${owner.name}`),
    cell('', stateOf(pod.phase, phaseColours[pod.phase] ?? 'warn')),
    cell('age', ageOf(createdAtOf(pod))),
    make('td', { colspan: '4' }, notes.join(' · '), warning),
  );
}

/**
 * @param {HTMLTableRowElement} element
 * @param {ContainerView} container
 */
function fillContainer(element, container) {
  const { state, role, roleReason, tz } = container;
  element.className = isEnded(container) ? 'container ended' : 'container';
  element.setAttribute('aria-level', '2');
  const badge =
    role === undefined ? undefined : make('span', { class: 'role', 'data-role': role, title: roleReason ?? '' }, role);
  const ended = state.exitCode === undefined ? state.status : `${state.status} (${state.exitCode})`;
  element.replaceChildren(
    cell('name', nameOf(container)),
    cell('', badge ?? ''),
    cell('', stateOf(ended, colourOf(container))),
    cell('age', ageOf(state.startedAt)),
    cell('zone', ...(tz === undefined ? [] : [`${tz.name} `, make('span', { class: 'offset' }, describeOffset(tz))])),
    cell('engine', container.engineType),
    cell('image', container.image ?? ''),
    cell('id', container.shortId),
  );
  element.querySelector('.image')?.setAttribute('title', container.image ?? '');
  element.querySelector('.name')?.setAttribute('title', container.name);
}

/**
 * @param {HTMLTableRowElement} element
 * @param {string} title
 */
function fillGroup(element, title) {
  element.className = 'pod';
  element.setAttribute('aria-level', '1');
  element.replaceChildren(make('td', { class: 'name', colspan: '8' }, title));
}

/**
 * @param {string} className
 * @param {...(Node | string)} children
 */
function cell(className, ...children) {
  return make('td', { class: className }, ...children);
}

/** @type {Record<string, string>} */
const phaseColours = { Running: 'good', Succeeded: 'none', Pending: 'warn', Failed: 'bad', Unknown: 'warn' };

/** @param {ContainerView} container */
function colourOf({ state }) {
  if (state.status === 'running') return 'good';
  if (state.status === 'exited' || state.status === 'created') return (state.exitCode ?? 0) === 0 ? 'none' : 'bad';
  return state.status === 'dead' ? 'bad' : 'warn';
}

/**
 * @param {string} text
 * @param {string} colour
 */
function stateOf(text, colour) {
  return make('span', { class: 'state', 'data-state': colour }, text);
}

/** @param {PodView} pod */
function createdAtOf(pod) {
  if (pod.createdAt !== undefined || pod.sandbox === undefined) return pod.createdAt;
  return [...containers.values()].find(({ id }) => id === pod.sandbox)?.state.startedAt;
}

/** @param {string | undefined} instant */
function ageOf(instant) {
  if (instant === undefined) return '';
  const element = make('time', { datetime: instant, title: new Date(instant).toLocaleString() });
  showAge(element);
  return element;
}

/** @param {Element} element */
function showAge(element) {
  const text = describeDuration(Date.now() + clockAheadMs - Date.parse(element.getAttribute('datetime') ?? ''));
  if (element.textContent !== text) element.textContent = text;
}

/** @param {number} durationMs */
function describeDuration(durationMs) {
  const seconds = Math.max(0, Math.floor(durationMs / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** @param {NonNullable<ContainerView['tz']>} tz */
function describeOffset({ offset, zone }) {
  const minutes = Math.abs(Math.round(offset / 60));
  const clock = `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
  const utc = offset === 0 ? '' : `${offset < 0 ? '−' : '+'}${clock}`;
  // Where a zone has no abbreviation, its name is the offset.
  return [/^[A-Z]{3,}$/.test(zone) && zone !== 'UTC' ? zone : '', utc].filter((part) => part !== '').join(' ');
}

/**
 * @param {number} number
 * @param {string} noun
 */
function count(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

// --- engines, source of pods, diagnosis

/** @param {StatusView} view */
function drawSources({ agent, hostname, engines, podSource, reports, pods: podCount }) {
  const name = agent.nodeName ?? hostname;
  find('node').textContent = [name, agent.nodeIP].filter((part) => part !== undefined).join(' · ');
  document.title = `${name} · crikit`;
  const sorted = [...engines].sort((one, other) => one.id.localeCompare(other.id));
  const cards = sorted.map((engine) =>
    sourceCard({
      title: engine.type,
      version: engine.version,
      state: engine.state,
      since: engine.staleSinceMs,
      note: [
        count(engine.containers, 'container'),
        engine.failingContainers === 0 ? undefined : `${engine.failingContainers} cannot be read`,
        engine.lagMs === undefined ? undefined : `lag ${Math.round(engine.lagMs)} ms`,
      ],
      error: engine.error?.message,
      tooltip: engine.id,
    }),
  );
  const pod = sourceCard({
    title: 'pods',
    version: podSource.backend,
    state: podSource.state,
    since: podSource.state === 'stale' ? podSource.sinceMs : undefined,
    note: [count(podCount, 'pod')],
    error: podSource.error?.message,
    tooltip: podSource.name,
  });
  const failed = reports
    .filter((report) => report.status === 'failed')
    .map((report) =>
      sourceCard({ title: report.type, version: report.version, state: 'failed', note: [], error: report.reason }),
    );
  find('sources').replaceChildren(...cards, ...failed, pod);
}

/**
 * @param {{ title: string, version: string | undefined, state: string, since?: number | undefined,
 *   note: (string | undefined)[], error: string | undefined, tooltip?: string }} card
 */
function sourceCard({ title, version, state, since, note, error, tooltip = '' }) {
  const colour = state === 'live' ? 'good' : state === 'stale' || state === 'failed' ? 'bad' : 'warn';
  const stateLine = make('p', { class: 'state', 'data-state': colour }, state);
  if (since !== undefined) stateLine.append(' since ', ageOf(new Date(since).toISOString()));
  const notes = note.filter((part) => part !== undefined).join(' · ');
  if (notes !== '') stateLine.append(make('span', { class: 'offset' }, ` · ${notes}`));
  return make(
    'div',
    { class: 'source', title: tooltip },
    make('h2', null, title, make('span', { class: 'version' }, version ?? '')),
    stateLine,
    error === undefined ? undefined : make('p', null, error),
  );
}

/** @type {string | undefined} */
let diagnosedState;

/** @param {StatusView} view */
async function drawDiagnosis({ ready, engines, podSource, reports }) {
  const states = JSON.stringify([ready, engines.map(({ id, state }) => [id, state]), podSource.state, reports.length]);
  if (states === diagnosedState) return;
  diagnosedState = states;
  const diagnosis = await load('/api/v1/diagnosis');
  if (diagnosis === undefined) return;
  const { severity, verdict, findings } = /** @type {Diagnosis} */ (diagnosis);
  const element = find('diagnosis');
  element.hidden = severity === 'ok';
  element.dataset.severity = severity;
  const list = findings
    .filter((finding) => finding.severity !== 'ok')
    .map(({ message, remedy }) => make('li', null, `${message} `, make('em', null, remedy ?? '')));
  element.replaceChildren(make('details', null, make('summary', null, verdict), make('ul', null, ...list)));
}

/**
 * Undefined when it cannot be had.
 *
 * @param {string} path
 * @returns {Promise<unknown>}
 */
async function load(path) {
  try {
    const response = await fetch(path);
    return response.ok ? await response.json() : undefined;
  } catch {
    return undefined;
  }
}

// --- details

/** @type {unknown} What the panel shows now. */
let detailed;

function drawDetails() {
  if (selectedKey === undefined) {
    detailsElement.hidden = true;
    detailed = undefined;
    return;
  }
  const data = pods.get(selectedKey) ?? containers.get(selectedKey);
  if (data === detailed && data !== undefined) return;
  if (data === undefined) {
    // Gone: what was shown last stays to be read, and says so.
    if (detailed !== undefined) {
      detailsElement.querySelector('h2')?.append(make('span', { class: 'warning' }, ' (gone)'));
      detailed = undefined;
    }
    return;
  }
  detailed = data;
  detailsElement.hidden = false;
  const hadFocus = detailsElement.contains(document.activeElement);
  detailsElement.replaceChildren(...('phase' in data ? describePod(data) : describeContainer(data)));
  if (hadFocus) focusDetails();
}

function focusDetails() {
  detailsElement.querySelector('button')?.focus();
}

/**
 * @param {string} title
 * @param {string} path of the same as JSON
 */
function detailTitle(title, path) {
  const close = make('button', { type: 'button', 'aria-label': 'Close details' }, '✕');
  close.addEventListener('click', closeDetails);
  return make(
    'div',
    { class: 'title' },
    make('h2', null, title),
    make('a', { href: path, target: '_blank', rel: 'noopener' }, 'JSON'),
    close,
  );
}

/** @param {PodView} pod */
function describePod(pod) {
  const own = [...containers.values()].filter(({ podUid }) => podUid === pod.uid);
  return [
    detailTitle(`${pod.namespace}/${pod.name}`, `/api/v1/pods/${encodeURIComponent(pod.uid)}`),
    ...pod.diagnostics.map(({ message }) => make('p', { class: 'warning' }, `⚠ ${message}`)),
    definitions({
      Phase: pod.phase,
      Uid: pod.uid,
      Address: pod.ip,
      Node: pod.hostIP,
      App: pod.app,
      Hostname: pod.hostname,
      Owner: pod.owner && `${pod.owner.kind} ${pod.owner.name}`,
      Created: createdAtOf(pod),
    }),
    ...section(
      'Containers',
      make('ul', { class: 'plain' }, ...own.map((container) => make('li', null, linkTo(container)))),
    ),
    ...section('Labels', definitions(pod.labels)),
    ...section('Annotations', definitions(pod.annotations)),
  ];
}

/** @param {ContainerView} container */
function describeContainer(container) {
  const { state, tz, mounts, podUid } = container;
  const pod = podUid === undefined ? undefined : pods.get(podUid);
  const path = `/api/v1/containers/${encodeURIComponent(container.id)}`;
  const why = make('ul', null, make('li', null, '…'));
  void load(`${path}/explanation`).then((explanation) => {
    const { reasons } = /** @type {ExplanationView} */ (explanation ?? { reasons: ['The server gave no answer.'] });
    why.replaceChildren(...reasons.map((reason) => make('li', null, reason)));
  });
  return [
    detailTitle(nameOf(container), path),
    definitions({
      Pod: pod && linkTo(pod),
      Role: container.role && `${container.role}: ${container.roleReason ?? ''}`,
      Status: state.exitCode === undefined ? state.status : `${state.status} with ${state.exitCode}`,
      Started: state.startedAt,
      Pid: state.pid === 0 ? undefined : String(state.pid),
      'Time zone': tz && `${tz.name} ${describeOffset(tz)}`,
      'TZ variable': tz?.envTz,
      Hostname: container.hostname,
      'First process': container.pid1Name,
      Zombies: container.zombieCount === undefined ? undefined : String(container.zombieCount),
      Alpine: container.alpineStatus,
    }),
    ...section('Why', why),
    ...section(
      'From the engine',
      definitions({
        Id: container.id,
        Name: container.name,
        Image: container.image,
        Engine: container.engineId,
        Namespace: container.scope === '' ? undefined : container.scope,
        Runtime: container.runtime,
        Network: container.networkMode,
        'Pid mode': container.pidMode,
        Sandbox: container.sandboxId,
        Log: container.logPath,
        Root: container.mergedDir,
      }),
    ),
    ...section(
      'Mounts',
      definitions(
        Object.fromEntries(
          mounts.map(({ source, destination, readWrite }) => [
            destination,
            `${source}${readWrite ? '' : ' (read-only)'}`,
          ]),
        ),
      ),
    ),
    ...section('Environment (values are not shown)', make('p', null, Object.keys(container.env).sort().join(', '))),
    ...section('Labels', definitions(container.labels)),
    ...section('Not possible here', definitions(container.withheld)),
  ];
}

/**
 * Nothing when there is nothing in it.
 *
 * @param {string} title
 * @param {HTMLElement} content
 */
function section(title, content) {
  return content.hasChildNodes() && content.textContent !== '' ? [make('h3', null, title), content] : [];
}

/** @param {Readonly<Record<string, string | Node | undefined>>} values */
function definitions(values) {
  const list = make('dl');
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || value === '') continue;
    list.append(make('dt', null, name), make('dd', null, value));
  }
  return list;
}

/** @param {PodView | ContainerView} target */
function linkTo(target) {
  const isPod = 'phase' in target;
  const label = isPod
    ? `${target.namespace}/${target.name}`
    : `${nameOf(target)} (${[target.role, target.state.status].filter((part) => part !== undefined).join(', ')})`;
  const button = make('button', { type: 'button', class: 'plain' }, label);
  button.addEventListener('click', () => select(isPod ? target.uid : keyOf(target)));
  return button;
}

/** @param {string} key */
function select(key) {
  selectedKey = key;
  if (shownRows.has(key)) currentKey = key;
  drawRows();
  drawDetails();
  shownRows.get(key)?.element.scrollIntoView({ block: 'nearest' });
}

function closeDetails() {
  const hadFocus = detailsElement.contains(document.activeElement);
  selectedKey = undefined;
  drawRows();
  drawDetails();
  if (hadFocus) focusRow(currentKey);
}

// --- the keyboard and the mouse

/** @param {string | undefined} key */
function focusRow(key) {
  if (key === undefined) return;
  const row = shownRows.get(key);
  if (row === undefined) return;
  for (const { element } of shownRows.values()) element.tabIndex = -1;
  currentKey = key;
  row.element.tabIndex = 0;
  row.element.focus();
  row.element.scrollIntoView({ block: 'nearest' });
}

/** @param {EventTarget | null} target */
function rowOf(target) {
  return target instanceof Element ? /** @type {HTMLElement | null} */ (target.closest('#rows tr')) : null;
}

rowsElement.addEventListener('click', (event) => {
  const key = rowOf(event.target)?.dataset.key;
  if (key === undefined || key === 'alone') return;
  focusRow(key);
  select(key);
});

rowsElement.addEventListener('keydown', (event) => {
  const row = rowOf(event.target);
  if (row === null) return;
  const rows = /** @type {HTMLElement[]} */ ([...rowsElement.children]);
  const index = rows.indexOf(row);
  /** @type {Record<string, number>} */
  const moves = {
    ArrowDown: index + 1,
    ArrowUp: index - 1,
    PageDown: index + 15,
    PageUp: index - 15,
    Home: 0,
    End: rows.length - 1,
  };
  const move = moves[event.key];
  if (move !== undefined) {
    event.preventDefault();
    if (event.key === 'ArrowUp' && index === 0) filterBox.focus();
    else focusRow(rows[Math.min(Math.max(move, 0), rows.length - 1)]?.dataset.key);
  } else if (event.key === 'Enter' || event.key === ' ') {
    event.preventDefault();
    const { key } = row.dataset;
    if (key === undefined || key === 'alone') return;
    select(key);
    focusDetails();
  }
});

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === '/' && event.target !== filterBox) {
    event.preventDefault();
    filterBox.focus();
    filterBox.select();
  } else if (event.key === 'Escape') {
    if (event.target === filterBox && filterBox.value !== '') {
      filterBox.value = '';
      onFilter();
    } else {
      closeDetails();
    }
  } else if (event.key === 'ArrowDown' && event.target === filterBox) {
    event.preventDefault();
    focusRow(currentKey);
  }
});

function onFilter() {
  history.replaceState(null, '', filterBox.value === '' ? '/' : `#${encodeURIComponent(filterBox.value)}`);
  draw();
}

function readFilterOfAddress() {
  try {
    filterBox.value = decodeURIComponent(location.hash.slice(1));
  } catch {
    filterBox.value = '';
  }
}

filterBox.addEventListener('input', onFilter);
sandboxesBox.addEventListener('change', draw);
endedBox.addEventListener('change', draw);
addEventListener('hashchange', () => {
  readFilterOfAddress();
  draw();
});
setInterval(() => {
  for (const element of document.querySelectorAll('time')) showAge(element);
}, 1000);

readFilterOfAddress();
follow();
