"use strict";
for (const film of document.querySelectorAll(".film")) {
  const { captions, images } = JSON.parse(film.querySelector("script").textContent);
  const shown = [...film.querySelectorAll("img")];
  const names = shown.map((image) => image.alt);
  const [button, range, output] = ["button", "input", "output"].map((name) => film.querySelector(name));
  let timer = null;
  const show = (index) => {
    range.value = index;
    output.textContent = captions[index];
    range.setAttribute("aria-valuetext", captions[index]);
    shown.forEach((image, i) => {
      image.src = images[index][i];
      image.alt = names[i].replace(captions[0], captions[index]);
    });
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  };
  const play = () => {
    button.textContent = "Pause";
    timer = setInterval(() => show((Number(range.value) + 1) % images.length), Number(film.dataset.frameMs));
  };
  button.addEventListener("click", () => (timer === null ? play() : stop()));
  range.addEventListener("input", () => {
    stop();
    show(Number(range.value));
  });
  film.querySelector(".controls").hidden = images.length < 2;
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => (details.open = true)));
