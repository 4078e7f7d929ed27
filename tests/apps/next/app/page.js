import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const dynamic = 'force-dynamic';

const version = readFileSync(join(process.cwd(), 'VERSION'), 'utf8').trim();

export default function Page() {
  return <p>{`next ${version}`}</p>;
}
