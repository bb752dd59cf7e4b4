// What the theme leaves out for people who use the keyboard or a screen reader.
document.addEventListener("DOMContentLoaded", () => {
  // Wide tables scroll inside themselves, so the keyboard must reach them.
  for (const table of document.querySelectorAll("article table")) {
    table.tabIndex = 0;
  }
  // A number with its error, such as 0.0004 ± 4.1e-05, is not broken in the middle.
  for (const cell of document.querySelectorAll("article td")) {
    if (/^[-−\d.,e±%+*()× \u00a0]{1,24}$/.test(cell.textContent.trim())) {
      cell.style.whiteSpace = "nowrap";
    }
  }
  // The source of a lesson is what one downloads.
  for (const link of document.querySelectorAll('.sourcelink a[href$=".ipynb"]')) {
    link.download = "";
    link.lastChild.textContent = " Download this notebook";
  }
  // The toggles of the navigation are icons without a name.
  for (const summary of document.querySelectorAll("summary")) {
    if (!summary.textContent.trim() && !summary.ariaLabel) {
      const link = summary.closest("li")?.querySelector("a");
      summary.ariaLabel = `Pages of ${link ? link.textContent.trim() : "this section"}`;
    }
  }
});
