import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Injectable } from '@nestjs/common';

@Injectable()
export class AppService {
  private readonly version = readFileSync(join(__dirname, '..', 'VERSION'), 'utf8').trim();

  greet(): string {
    return `nest-fastify ${this.version}\n`;
  }
}
