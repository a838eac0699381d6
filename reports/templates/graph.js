"use strict";
for (const slider of document.querySelectorAll("input[data-frames]")) {
  const figure = slider.closest("figure");
  const image = figure.querySelector("img.mask-image");
  const label = figure.querySelector("output");
  const frames = JSON.parse(document.getElementById(slider.dataset.frames).textContent);
  const show = () => {
    const frame = frames[Number(slider.value)];
    image.src = frame.uri;
    label.textContent = frame.text;
  };
  slider.addEventListener("input", show);
  slider.closest(".slider").hidden = frames.length < 2;
}
for (const group of document.querySelectorAll(".queries")) {
  const figure = group.closest("figure");
  const cones = JSON.parse(document.getElementById(group.dataset.cones).textContent);
  group.hidden = false;
  group.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    for (const other of group.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
    const cone = cones[Number(button.dataset.at)];
    figure.querySelector("img.reach").src = cone.reach;
    if (cone.influence) figure.querySelector("img.influence").src = cone.influence;
    for (const mark of figure.querySelectorAll(".at")) mark.style.left = `${100 * cone.at}%`;
    figure.querySelector("output").textContent = cone.text;
  });
}
