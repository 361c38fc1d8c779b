/** The published types miss abort signals and lie about streams, so dockerode-api.ts says itself what it uses. */
declare module 'dockerode' {
  const Dockerode: new (options: object) => unknown;
  export default Dockerode;
}
