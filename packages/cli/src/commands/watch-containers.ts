import type { MetaStore } from '@crikit/metastore';
import type { CommandContext } from '../command-context.js';
import { describeContainer } from '../output/describe-container.js';
import { renderTable } from '../output/render-table.js';
import { schemaVersion, tableOptions, writeList } from '../output/write-list.js';
import { describeAway, reportEngineStates } from '../report-engine-states.js';
import { listContainers, type PsRequest } from './ps.js';

const redrawEveryMs = 1_000;
const alternateScreen = { enter: '\u001b[?1049h\u001b[?25l', leave: '\u001b[?25h\u001b[?1049l' };
const home = '\u001b[H';
const eraseLine = '\u001b[K';
const eraseBelow = '\u001b[J';

/**
 * Goes on showing the containers until the signal aborts, then rejects with its reason. On a terminal the table is drawn
 * anew at each change, each second (ages grow) and when its size changes; elsewhere it is printed whole at each change.
 * JSON is one document a line.
 */
export async function watchContainers(context: CommandContext, store: MetaStore, request: PsRequest): Promise<never> {
  const { stdout, signal, options } = context;
  const isDrawn = stdout.isTTY === true && (options.output === 'table' || options.output === 'wide');
  const draw = isDrawn ? drawScreen : printList;
  const redraw = (): Promise<void> => draw(context, store, request);
  const events = store.events({ signal });
  const timer = isDrawn ? setInterval(redraw, redrawEveryMs) : undefined;
  const stopReports = isDrawn ? () => {} : reportEngineStates(context, store);
  if (isDrawn) {
    stdout.write(alternateScreen.enter);
    stdout.on('resize', redraw);
  }
  try {
    await redraw();
    const shown = store.status().sequence;
    let last = shown;
    for await (const event of events) {
      // What is shown already comes first, and several events may tell of one change.
      if (event.sequence <= last) continue;
      last = store.status().sequence;
      await redraw();
    }
  } finally {
    clearInterval(timer);
    stopReports();
    if (isDrawn) {
      stdout.off('resize', redraw);
      stdout.write(alternateScreen.leave);
    }
  }
  throw signal.reason;
}

async function printList(context: CommandContext, store: MetaStore, request: PsRequest): Promise<void> {
  const list = listContainers(context, store, request);
  if (context.options.output !== 'json') {
    await writeList(context, list);
    context.stdout.write(context.options.output === 'yaml' ? '---\n' : '\n');
    return;
  }
  const items = list.rows.map(({ container, pod }) => describeContainer(container, pod));
  context.stdout.write(`${JSON.stringify({ schemaVersion, kind: list.kind, items })}\n`);
}

async function drawScreen(context: CommandContext, store: MetaStore, request: PsRequest): Promise<void> {
  const { stdout } = context;
  const { rows, columns, whenEmpty } = listContainers(context, store, request);
  const text = rows.length === 0 ? `${whenEmpty}\n` : renderTable(columns, rows, tableOptions(context));
  const notes = store.status().engines.flatMap((engine) => (engine.state === 'stale' ? describeAway(engine) : []));
  const width = stdout.columns;
  const lines = [...notes.map((note) => note.slice(0, width)), ...text.trimEnd().split('\n')];
  // A last line that is full would scroll the screen.
  const room = Math.max(1, stdout.rows - 1);
  const fitting = lines.length <= room ? lines : [...lines.slice(0, room - 1), `… and ${lines.length - room + 1} more`];
  stdout.write(`${home}${fitting.map((line) => `${line}${eraseLine}\n`).join('')}${eraseBelow}`);
}
