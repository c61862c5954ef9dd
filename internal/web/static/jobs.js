// Jobs that run are watched; the page is drawn anew when one is over.
import { say } from "/static/app.js";

for (const card of document.querySelectorAll("[data-job]")) {
  const events = new EventSource(`/api/v1/jobs/${card.dataset.job}`);
  events.addEventListener("progress", (event) => {
    const job = JSON.parse(event.data);
    const bar = card.querySelector("[data-progress]");
    bar.max = job.progress.total || 1;
    bar.value = job.progress.done;
    card.querySelector("[data-state]").textContent = job.state;
    const skipped = job.progress.skipped ? `, ${job.progress.skipped} skipped` : "";
    const left = job.progress.seconds_left ? `, about ${Math.ceil(job.progress.seconds_left)} s left` : "";
    card.querySelector("[data-words]").textContent =
      `${job.progress.done} of ${job.progress.total} ${job.progress.unit}${skipped}${left}`;
  });
  for (const end of ["result", "error"]) {
    events.addEventListener(end, (event) => {
      if (!event.data) return; // the connection broke: the browser tries again
      events.close();
      say("The job is over");
      location.reload();
    });
  }
}
