// Questions to the viewer that served this page, and to nobody else.

export async function ask(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, value);
  }
  const response = await fetch(`/api/${path}?${query}`);
  if (!response.ok) {
    const { message } = await response.json().catch(() => ({}));
    throw new Error(message ?? `the viewer answered ${response.status} to /api/${path}`);
  }
  return response.json();
}
