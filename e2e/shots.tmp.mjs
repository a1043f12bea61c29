import { chromium } from "@playwright/test";
import { readFileSync } from "node:fs";
const BASE="http://127.0.0.1:18177"; const S="/tmp/console-shots/"; const P="/api/v1/projects/main";
const pw=JSON.parse(readFileSync("/tmp/console-pw.json","utf8"));
const b=await chromium.launch({executablePath:"/usr/bin/chromium",args:["--no-sandbox","--disable-gpu"]});
const c=await b.newContext({baseURL:BASE,viewport:{width:1440,height:900}}); const r=c.request; const headers={Origin:BASE};
const a=await r.post("/api/v1/session",{data:{name:"admin",password:pw.admin}}); if(!a.ok()) throw new Error(await a.text());
const page=await c.newPage(); page.on("console",m=>{if(["error","warning"].includes(m.type()))console.log(m.type(),m.text(),page.url())}); page.on("pageerror",e=>console.log("UNCAUGHT",e.message));
const go=async(p,n,act)=>{await page.goto(p);await page.waitForSelector('html[data-hydrated="true"]');if(act)await act();await page.waitForTimeout(800);await page.screenshot({path:S+n+".png",fullPage:true});};
const leaky=readFileSync("/root/try/console/t/leaky.yaml","utf8"); console.log((await r.post(P+"/pipelines",{data:{document:leaky},headers})).status());
const keyed=readFileSync("/root/try/console/t/good.yaml","utf8").replace(/^name: .*$/m,"name: keyed").replace("  safe:\n","  watch:\n    alert: { from: checked, when: \"amount > 20\", key: customer_id, severity: warn, message: A large payment }\n  safe:\n").replace("out/good","out/keyed");
const k=await r.post(P+"/pipelines",{data:{document:keyed},headers}); console.log(k.status(),k.ok()?"":(await k.text()).slice(0,600)); console.log((await r.post(P+"/pipelines/keyed/deploy",{data:{},headers})).status());
await page.waitForTimeout(5000);
const run=(await (await r.get(P+"/pipelines/payments")).json()).summary.last_run;
for (const x of process.argv.slice(2).length?process.argv.slice(2):["ov","pls","pl","node","consent","run","runs","leak","alerts","late","missing","audit","cp"]) { try {
 if(x=="ov")await go("/p/main","ov"); if(x=="pls")await go("/p/main/pipelines","pls"); if(x=="pl")await go("/p/main/pipelines/payments","pl");
 if(x=="node")await go("/p/main/pipelines/payments?node=swipes","node"); if(x=="consent")await go("/p/main/pipelines/payments?node=allowed","consent");
 if(x=="run")await go("/p/main/runs/"+run.id,"run"); if(x=="runs")await go("/p/main/runs","runs"); if(x=="leak")await go("/p/main/pipelines/leaks-cards","leak");
 if(x=="alerts")await go("/p/main/alerts?pipeline=keyed","alerts",async()=>{await page.locator(".alert-group summary").first().click({timeout:3000});await page.waitForTimeout(5000)});
 if(x=="late"||x=="missing"){const q=await (await r.get(P+`/quarantine?pipeline=payments&rule=${x=="late"?"late":"missing_required"}&limit=1`)).json(); const i=q.items[0]; if(i)await go(`/p/main/quarantine/${i.segment}/${i.row}`,x,async()=>{await page.getByRole("button",{name:/Reveal/}).click();await page.waitForSelector("text=Revealed to you")}); else console.log("no",x)}
 if(x=="audit")await go("/p/main/audit","audit"); if(x=="cp"){const e=(await (await r.get(P+"/audit?kind=checkpoint&limit=1")).json()).items[0]; await go("/p/main/audit/"+e.index,"cp")}
 } catch(e){console.log("FAIL",x,String(e.message).slice(0,200))} }
await b.close();
