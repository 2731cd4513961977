import { ApiProcess, waysToRun } from './support/api-process';
import { HttpClient, newLearner } from './support/http';

describe.each(waysToRun)('smoke, $name', (way) => {
  let api: ApiProcess;
  let http: HttpClient;
  let place: Awaited<ReturnType<typeof way.open>>;
  beforeAll(async () => {
    place = await way.open();
    api = await ApiProcess.start(place.settings);
    http = new HttpClient(api.url);
  }, 60_000);
  afterAll(async () => {
    await api?.stop();
    await place?.close();
  });

  it('registers, logs in and chats', async () => {
    const ada = await newLearner(http);
    const chat = await ada.http.post('/v1/chats', { title: 'Hello' });
    expect(chat.status).toBe(201);
    expect((await ada.http.get(`/v1/chats/${chat.body.id}`)).body.title).toBe('Hello');
  });
});
