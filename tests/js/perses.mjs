// Drives the Tempo plugin of Perses, an independent client of the API, against a server and prints what it made of it.
//
// Usage: node perses.mjs --url http://host:port --query TraceQL --trace id --start seconds --end seconds
// The modules of the plugin that talk to the server and read its answers are loaded as published: its data source, its
// queries, its editor's completion. What they import from the user interface around them is replaced by a few lines.
// The output is one JSON object.
import { register } from 'node:module';
import { parseArgs } from 'node:util';

const interfaceAround = `
  export const fetch = async (...request) => {
    const answer = await globalThis.fetch(...request);
    if (!answer.ok) throw new Error(answer.status + ' ' + (await answer.text()));
    return answer;
  };
  export const otlptracev1 = { StatusCodeError: 'STATUS_CODE_ERROR' };
  export const isValidTraceId = (text) => /^[0-9a-fA-F]{1,32}$/.test(text);
  export const isAbsoluteTimeRange = () => true;
  export const toAbsoluteTimeRange = (range) => range;
  export const isVariableDatasource = () => false;
  export const datasourceSelectValueToSelector = (value) => value;
  export const getUnixTime = (date) => Math.floor(date.getTime() / 1000);
  export const TempoDatasourceEditor = undefined;
`;
// The plugin is written for a bundler: names without endings, modules without "type".
const hooks = `
  import { statSync } from 'node:fs';
  const around = ${JSON.stringify('data:text/javascript,' + encodeURIComponent(interfaceAround))};
  export async function resolve(name, context, next) {
    if (/^@perses-dev\\/(core|plugin-system)$|^date-fns$|TempoDatasourceEditor$/.test(name)) return { url: around, shortCircuit: true };
    if (name.startsWith('.') && context.parentURL?.includes('/tempo-plugin/lib/')) {
      const url = new URL(name, context.parentURL);
      const isDirectory = statSync(url, { throwIfNoEntry: false })?.isDirectory();
      return { url: url.href + (isDirectory ? '/index.js' : '.js'), format: 'module', shortCircuit: true };
    }
    return next(name, context);
  }
  export async function load(url, context, next) {
    return next(url, url.includes('/tempo-plugin/lib/') ? { ...context, format: 'module' } : context);
  }
`;
register('data:text/javascript,' + encodeURIComponent(hooks));
const plugin = (path) => import(new URL(`node_modules/@perses-dev/tempo-plugin/lib/${path}`, import.meta.url).href);

const { values: given } = parseArgs({
  options: Object.fromEntries(['url', 'query', 'trace', 'start', 'end'].map((name) => [name, { type: 'string' }])),
});
const { TempoDatasource } = await plugin('plugins/tempo-datasource.js');
const { getTraceData } = await plugin('plugins/tempo-trace-query/get-trace-data.js');
const { TraceQLExtension } = await plugin('components/TraceQLExtension.js');
const { complete } = await plugin('components/complete.js');
const { EditorState } = await import('@codemirror/state');

const client = TempoDatasource.createClient({ directUrl: given.url }, {});
const absoluteTimeRange = { start: new Date(given.start * 1000), end: new Date(given.end * 1000) };
const context = {
  absoluteTimeRange,
  variableState: {},
  datasourceStore: { listDatasourceSelectItems: async () => [], getDatasourceClient: async () => client },
};
const ask = (query) => getTraceData({ query, limit: 50 }, context);

// What the editor offers where the text ends.
async function offered(doc) {
  const completion = { client, timeRange: absoluteTimeRange, limit: 500 };
  const state = EditorState.create({ doc, extensions: TraceQLExtension(completion) });
  const found = await complete(completion, { state, pos: doc.length });
  return found?.options.map((option) => option.label).sort();
}

async function failure(work) {
  try {
    await work();
  } catch (error) {
    return error.message;
  }
}

const completions = {};
for (const doc of ['{ ', '{ resource.', '{ span.', '{ resource.service.name="', '{ span.http.response.status_code=', '{ status=']) {
  completions[doc] = await offered(doc);
}
console.log(
  JSON.stringify({
    search: (await ask(given.query)).searchResult,
    nothing: (await ask('{ .no = "such" }')).searchResult,
    trace: (await ask(given.trace)).trace,
    mistake: await failure(() => ask('{ status = }')),
    completions,
  }),
);
