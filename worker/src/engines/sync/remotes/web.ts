/** How a remote that speaks HTTP is reached. */
export type WebAccess =
  /** The operator's own server, which rclone speaks to without a proxy. */
  | { readonly kind: 'operator'; readonly url: string }
  /** A provider: it is trusted not to lead anywhere else, and only its addresses are checked. */
  | { readonly kind: 'provider'; readonly url: string | null }
  /** A server of a customer's: rclone speaks to it through the run's proxy alone, which reads every answer. */
  | WebServer;

export interface WebServer {
  readonly kind: 'server';
  readonly url: string;
  /** rclone's name of the option that holds the URL. */
  readonly option: string;
  /** What may stand before its name: a bucket. */
  readonly label: string | null;
  /** Below which all is that it is asked for, beside its URL's own: `/bucket`; empty where nothing more is known. */
  readonly path?: string;
  /** Whether the name that is asked for is signed, so that nobody may change it on the way. */
  readonly signsHost: boolean;
  readonly caPem: string | null;
}
