/** The few calls of our own REST API that the start makes, as any other client. */
export interface ApiClient {
  /** @throws Error unless the answer is 2xx or one of `tolerated` */
  call<T>(method: string, path: string, body?: unknown, tolerated?: readonly number[]): Promise<{ readonly status: number; readonly body: T }>;
}

export function apiClient(url: string, token: string): ApiClient {
  return {
    async call<T>(method: string, path: string, body?: unknown, tolerated: readonly number[] = []) {
      const response = await fetch(`${url}/api/v1${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(120_000),
      });
      const text = await response.text();
      if (!response.ok && !tolerated.includes(response.status)) throw new Error(`${method} ${path} answered ${response.status}: ${text.slice(0, 500)}`);
      return { status: response.status, body: (text === "" ? undefined : JSON.parse(text)) as T };
    },
  };
}
