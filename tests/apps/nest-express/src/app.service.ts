import { readFileSync } from 'node:fs';
import { Injectable } from '@nestjs/common';

@Injectable()
export class AppService {
  private readonly version = readFileSync(new URL('../VERSION', import.meta.url), 'utf8').trim();

  greet(): string {
    return `nest-express ${this.version}\n`;
  }
}
