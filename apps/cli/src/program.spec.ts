import { newProgram, withThoseBelow } from './program';

const nameOf = (command: ReturnType<typeof newProgram>): string =>
  command.parent?.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name();

function helpOf(command: ReturnType<typeof newProgram>): string {
  let help = '';
  command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  return help;
}

describe('studently', () => {
  const commands = withThoseBelow(newProgram()).filter((command) => command.commands.length === 0);

  it('has commands', () => expect(commands.length).toBeGreaterThan(30));

  it('removes no log that processes may still write to', async () => {
    const program = newProgram();
    for (const command of withThoseBelow(program)) command.configureOutput({ writeErr: () => undefined });
    const given = program.parseAsync(['maint', 'logs', '--keep', '0', '--dry-run'], { from: 'user' });
    await expect(given).rejects.toMatchObject({ code: 'commander.invalidArgument' });
  });

  it.each(commands.map((command) => [nameOf(command), command] as const))('%s has help with an example', (name, command) => {
    const example = /Example:\n.*npx studently (.*)/.exec(helpOf(command))?.[1];
    expect([name, example?.includes(name)]).toEqual([name, true]);
    expect(helpOf(command)).not.toMatch(/\(default: (\[\]|\d{6,})\)/); // what nobody can read
  });
});
