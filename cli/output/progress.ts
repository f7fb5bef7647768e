import { Presets, SingleBar } from "cli-progress";
import { formatBytes, formatDuration } from "./format.ts";

/** How often the line is drawn anew, at most. */
const framesPerSecond = 8;
/** The rate is that of the last seconds. */
const rateWindowMs = 5000;
/** How often it is drawn when nothing comes. */
const stillMs = 500;

/** What is told of a running download. */
export class Progress {
  readonly #bar: SingleBar | undefined;
  readonly #startedAt = performance.now();
  readonly #samples: { at: number; bytes: number }[] = [];
  #bytes = 0;
  #totalBytes = 0;
  #files = 0;
  #totalFiles = 0;
  #isTotalKnown = false;
  readonly #timer: NodeJS.Timeout | undefined;

  /** @param isShown on a terminal: a bar on stderr; else nothing is drawn */
  constructor(isShown: boolean) {
    if (!isShown) return;
    this.#bar = new SingleBar(
      {
        format: "{bar} {percent}  {sizes}  {rate}  {left}  {what}",
        barsize: 20,
        fps: framesPerSecond,
        stream: process.stderr,
        hideCursor: true,
        clearOnComplete: true,
        linewrap: false,
        // Its own would end the program before the partial files are in order.
        gracefulExit: false,
        emptyOnZero: true,
      },
      Presets.shades_classic,
    );
    this.#bar.start(1, 0, this.#payload());
    // A transfer that stands still shows so.
    this.#timer = setInterval(() => this.#draw(), stillMs).unref();
  }

  get bytes(): number {
    return this.#bytes;
  }

  get seconds(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  /** More to do became known. */
  addTotal(bytes: number, files = 1): void {
    this.#totalBytes += bytes;
    this.#totalFiles += files;
    this.#draw();
  }

  /** Everything to do is known: time left can be told. */
  totalKnown(): void {
    this.#isTotalKnown = true;
    this.#draw();
  }

  addBytes(bytes: number): void {
    this.#bytes += bytes;
    const now = performance.now();
    const last = this.#samples.at(-1);
    if (last === undefined || now - last.at > 100) this.#samples.push({ at: now, bytes: this.#bytes });
    this.#draw();
  }

  fileDone(): void {
    this.#files += 1;
    this.#draw();
  }

  /** A line above the bar. */
  say(text: string): void {
    if (this.#bar === undefined) {
      process.stderr.write(`${text}\n`);
      return;
    }
    // Carriage return, then what is left of the line is cleared.
    process.stderr.write(`\r\x1b[K${text}\n`);
    this.#bar.render();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#bar?.stop();
  }

  #draw(): void {
    if (this.#bar === undefined) return;
    this.#bar.setTotal(Math.max(1, this.#totalBytes));
    this.#bar.update(Math.min(this.#bytes, Math.max(1, this.#totalBytes)), this.#payload());
  }

  #payload(): Record<string, string> {
    const rate = this.#rate();
    const left = rate > 0 && this.#isTotalKnown ? `${formatDuration((this.#totalBytes - this.#bytes) / rate)} left` : "";
    const share = this.#totalBytes === 0 ? 0 : Math.floor((this.#bytes / this.#totalBytes) * 100);
    return {
      percent: `${String(Math.min(100, share)).padStart(3)}%`,
      sizes: `${formatBytes(this.#bytes)} of ${formatBytes(this.#totalBytes)}${this.#isTotalKnown ? "" : "+"}`,
      rate: `${formatBytes(rate)}/s`,
      left,
      what: `${this.#files}/${this.#totalFiles}${this.#isTotalKnown ? "" : "+"} files`,
    };
  }

  #rate(): number {
    const now = performance.now();
    while ((this.#samples[1]?.at ?? now) < now - rateWindowMs) this.#samples.shift();
    const [first] = this.#samples;
    return first === undefined || now - first.at < 200 ? 0 : ((this.#bytes - first.bytes) * 1000) / (now - first.at);
  }
}
