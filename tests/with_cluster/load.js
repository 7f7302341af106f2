// Callers by k6, for SECONDS: a few, half of whose requests are streams, and for CROWD_SECONDS a crowd, of short REQUESTS
// or of slow STREAMS. Connections are opened anew, as by many callers, so that the Service decides where each goes.
// Where a kept connection is closed before anything came back on it, Go asks again by itself, as most clients do; the
// official client of the other tests does not.

import { sleep } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter } from 'k6/metrics';

const { URL, KEY, CROWD, SECONDS, CROWD_SECONDS } = __ENV;
const failed = new Counter('failed');
const streams = new Counter('streams');

const common = { duration: `${CROWD_SECONDS}s`, gracefulStop: '70s' };
const crowds = {
  requests: { ...common, executor: 'constant-arrival-rate', rate: 25, preAllocatedVUs: 50, exec: 'short' },
  streams: { ...common, executor: 'constant-vus', vus: 16, exec: 'slow' },
};

export const options = {
  noVUConnectionReuse: true,
  scenarios: {
    few: { executor: 'constant-vus', vus: 2, duration: `${SECONDS}s`, gracefulStop: '70s', exec: 'few' },
    crowd: crowds[CROWD],
  },
};

function ask(more) {
  const content = `What is ${exec.scenario.name} ${exec.scenario.iterationInTest}, ${Math.random()}?`;
  const body = JSON.stringify({ model: 'cheap', messages: [{ role: 'user', content }], ...more });
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${KEY}` };
  const reply = http.post(`${URL}/v1/chat/completions`, body, { headers, timeout: '70s' });
  const text = String(reply.body);
  const whole = more.stream ? text.endsWith('data: [DONE]\n\n') : text.includes('"finish_reason":');
  streams.add(more.stream ? 1 : 0);
  failed.add(reply.status === 200 && whole ? 0 : 1);
  if (reply.status !== 200 || !whole) {
    console.error(`${new Date().toISOString()} ${reply.status} ${reply.error} ${text.slice(-300)}`);
  }
}

export function few() {
  for (const stream of [true, false, true, false]) {
    ask({ stream });
    sleep(0.4);
  }
}

export function short() {
  ask({ stream: false });
}

export function slow() {
  ask({ model: 'rich', stream: true, max_tokens: 20 });
}

export function handleSummary({ metrics }) {
  const count = (name) => metrics[name].values.count;
  return { stdout: `${JSON.stringify({ requests: count('http_reqs'), streams: count('streams'), failed: count('failed') })}\n` };
}
