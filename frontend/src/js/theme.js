// Runs before the first paint: chooses light or dark when the person left the choice to the system.
const page = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => {
  if (page.dataset.theme === "auto") page.dataset.bsTheme = dark.matches ? "dark" : "light";
};
follow();
dark.addEventListener("change", follow);
