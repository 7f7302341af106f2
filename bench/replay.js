// Asks what SCHEDULE says, a JSON list of [due in seconds, prompt], each when it is due, whatever becomes of those before:
// callers wait for their turn, and enough of them are there. Prints a line for each reply. With PACE=none, for SECONDS, a
// caller asks as soon as it has its answer. How late a request began is part of how long it took.

import { sleep } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { SharedArray } from 'k6/data';

const { URL, KEY, MODEL, WHO, SCHEDULE, CALLERS, PACE, SECONDS } = __ENV;
const schedule = new SharedArray('schedule', () => JSON.parse(open(SCHEDULE)));
const isPaced = PACE !== 'none';

export const options = {
  scenarios: {
    replay: {
      executor: 'shared-iterations',
      vus: Number(CALLERS),
      iterations: schedule.length,
      maxDuration: `${SECONDS}s`,
      gracefulStop: '60s',
    },
  },
};

export function setup() {
  return { began: Date.now() + 1000 };
}

export default function ({ began }) {
  const number = exec.scenario.iterationInTest;
  const [due, prompt] = schedule[number];
  if (isPaced) {
    sleep(Math.max(0, began + 1000 * due - Date.now()) / 1000);
  }
  const at = Date.now() - began;
  const body = JSON.stringify({ model: MODEL, user: WHO, messages: [{ role: 'user', content: prompt }] });
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${KEY}` };
  const reply = http.post(`${URL}/v1/chat/completions`, body, { headers, timeout: '60s' });
  const { status, timings, headers: told, body: text } = reply;
  const took = timings.blocked + timings.connecting + timings.duration;
  const late = isPaced ? Math.max(0, at - 1000 * due) : 0;
  const answered = /#([0-9a-f]{8})"/.exec(String(text));
  console.log(JSON.stringify({
    number,
    at_ms: at,
    late_ms: late,
    took_ms: took,
    status,
    source: told['X-Tollway-Source'] || '',
    model: told['X-Tollway-Model'] || '',
    request: told['X-Tollway-Request-Id'] || '',
    answered: answered === null ? '' : answered[1],
  }));
}
