// Parses each query of a JSON object {place: query} with Grafana's grammar. An error node is a syntax error.
import { readFileSync } from "node:fs";
import { parser } from "@grafana/lezer-logql";

const queries = Object.entries(JSON.parse(readFileSync(process.argv[2], "utf8")));
let bad = 0;
for (const [place, query] of queries) {
  parser.parse(query).iterate({
    enter: (node) => {
      if (!node.type.isError) return;
      bad += 1;
      console.error(`${place}: at ${node.from}: ${query.slice(Math.max(0, node.from - 20))}`);
    },
  });
}
console.log(`${queries.length} queries`);
process.exit(bad > 0 || queries.length === 0 ? 1 : 0);
