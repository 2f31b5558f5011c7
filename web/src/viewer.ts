/**
 * Plays a broadcast over the protocol that the viewer prefers: Media over QUIC where the browser and the server have it, LL-HLS
 * otherwise, or when no session can be had. What plays MoQ is loaded when it is first used.
 */

import type { Broadcast } from './api';
import { fetchEndpoint, type Endpoint } from './endpoint';
import { HlsPlayer } from './hls-player';
import type { Measurement } from './measure';
import type { MoqPlayer } from './moq/player';
import type { Phase, Playback, PlayerError } from './playback';
import { remembered, type Protocol } from './protocol';

export type { Protocol } from './protocol';

export class Viewer implements Playback {
  readonly video: HTMLVideoElement;
  /** Why the broadcast is not played over MoQ, where it was to be. */
  whyNotMoq: string | null = null;

  #hls: HlsPlayer;
  #moq: MoqPlayer | null = null;
  #now: Playback;
  #wanted: Protocol = remembered.read();
  #broadcast: Broadcast | null = null;
  /** Changes with what is opened: an answer that was asked for before has no say any more. */
  #turn = 0;
  #preparing = false;
  #rungs: string | null = null;
  /** `undefined`: the server has not been asked. */
  #endpoint: Endpoint | null | undefined;
  #asking: Promise<Endpoint | null> | null = null;

  constructor(video: HTMLVideoElement) {
    this.video = video;
    this.#hls = new HlsPlayer(video);
    this.#now = this.#hls;
    void this.#askForEndpoint();
  }

  /** Whether MoQ can be chosen. */
  get mayUseMoq(): boolean {
    return isAble() && !!this.#endpoint;
  }

  /** What plays, or is about to. */
  get protocol(): Protocol {
    return this.#now === this.#hls && !this.#preparing ? 'hls' : 'moq';
  }

  /** What the viewer prefers. */
  get wantedProtocol(): Protocol {
    return this.#wanted;
  }

  get phase(): Phase {
    return this.#preparing ? 'loading' : this.#now.phase;
  }

  get failure(): PlayerError | null {
    return this.#now.failure;
  }

  get errors(): PlayerError[] {
    return [...this.#hls.errors, ...(this.#moq?.errors ?? [])].sort((a, b) => a.at.localeCompare(b.at));
  }

  get wantedLevel(): number {
    return this.#now.wantedLevel;
  }

  get atLive(): boolean {
    return this.#now.atLive;
  }

  /** Opens a broadcast, in place of the one that was open. */
  open(broadcast: Broadcast): void {
    this.close();
    this.#broadcast = broadcast;
    if (this.#wanted === 'hls' || !isAble()) return this.#openHls(null);
    this.#preparing = true;
    const turn = this.#turn;
    this.#prepareMoq().then(
      (moq) => {
        if (turn !== this.#turn) return;
        this.#preparing = false;
        if (!moq) return this.#openHls(null);
        this.#now = moq;
        moq.open(broadcast.name);
      },
      (error: unknown) => {
        if (turn === this.#turn) this.#openHls(`the player for MoQ could not be loaded (${String(error)})`);
      },
    );
  }

  /** Plays over another protocol from now on, on this page and when it is opened again. */
  setProtocol(protocol: Protocol): void {
    this.#wanted = protocol;
    remembered.write(protocol);
    if (this.#broadcast && protocol !== this.protocol) this.open(this.#broadcast);
  }

  close(): void {
    this.#turn += 1;
    this.#preparing = false;
    this.#broadcast = null;
    this.#rungs = null;
    this.whyNotMoq = null;
    this.#hls.close();
    this.#moq?.close();
    this.#now = this.#hls;
  }

  setLevel(level: number): void {
    this.#now.setLevel(level);
  }

  goLive(): void {
    this.#now.goLive();
  }

  togglePlay(): void {
    this.#now.togglePlay();
  }

  setAway(away: boolean): void {
    this.#hls.setAway(away);
    this.#moq?.setAway(away);
  }

  setOver(over: boolean): void {
    this.#hls.setOver(over);
    this.#moq?.setOver(over);
  }

  setRungs(rungs: string): void {
    this.#rungs = rungs;
    this.#now.setRungs(rungs);
  }

  playAgain(): void {
    this.#now.playAgain();
  }

  measure(): Measurement {
    return this.#now.measure();
  }

  /** The player for MoQ, where the server has an endpoint. */
  async #prepareMoq(): Promise<MoqPlayer | null> {
    if (!(this.#endpoint ?? (await this.#askForEndpoint()))) return null;
    const { MoqPlayer } = await import('./moq/player');
    this.#moq ??= new MoqPlayer(
      this.video,
      () => this.#askForEndpoint(),
      (why) => this.#openHls(why),
    );
    return this.#moq;
  }

  #askForEndpoint(): Promise<Endpoint | null> {
    this.#asking ??= this.#readEndpoint().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #readEndpoint(): Promise<Endpoint | null> {
    try {
      this.#endpoint = await fetchEndpoint();
    } catch (error) {
      console.warn('The MoQ endpoint could not be read:', error);
      this.#endpoint ??= null;
    }
    return this.#endpoint;
  }

  #openHls(why: string | null): void {
    const broadcast = this.#broadcast;
    if (!broadcast) return;
    this.#preparing = false;
    this.whyNotMoq = why;
    this.#moq?.close();
    this.#now = this.#hls;
    this.#hls.open(broadcast.hls);
    if (this.#rungs !== null) this.#hls.setRungs(this.#rungs);
  }
}

/** Whether this browser has what MoQ takes. */
function isAble(): boolean {
  return ['WebTransport', 'VideoDecoder', 'AudioDecoder'].every((name) => name in window);
}
