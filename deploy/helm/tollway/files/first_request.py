"""What `helm test` asks of the Service: with a key one answer, without one a refusal that only Tollway gives."""

import json
import os
import sys
import urllib.error
import urllib.request

key = os.environ.get("API_KEY", "")
question = {"role": "user", "content": "Which day comes after Monday?"}
body = {"model": os.environ["MODEL"], "messages": [question]}
request = urllib.request.Request(
    f"{os.environ['URL']}/chat/completions",
    data=json.dumps(body).encode(),
    headers={"authorization": f"Bearer {key or 'a-stranger'}", "content-type": "application/json"},
)
try:
    with urllib.request.urlopen(request, timeout=60) as reply:
        answer = json.load(reply)["choices"][0]["message"]["content"]
        print(f"answered ({reply.headers['x-tollway-source']}): {answer}")
        sys.exit(0 if key else "a stranger was answered")
except urllib.error.HTTPError as error:
    said = error.read().decode(errors="replace")
    print(f"{error.code}: {said}")
    sys.exit(0 if not key and error.code == 401 else "no answer")
