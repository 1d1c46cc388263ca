"use strict";
const form = document.getElementById("login"), error = document.getElementById("error");
form.addEventListener("submit", async event => {
  event.preventDefault();
  error.hidden = true;
  let message = "The service does not answer.";
  try {
    const answer = await fetch("login", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token: document.getElementById("token").value.trim() }),
    });
    if (answer.ok) return location.reload();
    message = (await answer.json()).error;
  } catch { /* it does not answer */ }
  error.textContent = message;
  error.hidden = false;
});
